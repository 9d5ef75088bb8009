"""Connections to a server that vanished without a good-bye are given up within some ten seconds."""

from __future__ import annotations

import os
import socket

import pytest
from django.db import connection

from jit.celery import app


def assert_short(descriptor: int) -> None:
    """Check the kernel's patience with a connection; nothing else notices a lost packet."""
    with socket.socket(fileno=os.dup(descriptor)) as line:
        assert line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle, interval, probes = (
            line.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert 0 < idle + interval * probes <= 12
        assert 0 < line.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 10_000


@pytest.mark.django_db
def test_a_vanished_database_is_noticed() -> None:
    connection.ensure_connection()
    assert connection.connection is not None
    assert_short(connection.connection.pgconn.socket)


def test_a_vanished_broker_is_noticed() -> None:
    with app.connection_for_write() as broker, broker.channel() as channel:
        pool = channel.client.connection_pool
        taken = pool.get_connection()
        try:
            assert_short(taken._sock.fileno())
        finally:
            pool.release(taken)
