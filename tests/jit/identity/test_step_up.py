from __future__ import annotations

import datetime as dt

import pytest
from django.contrib.sessions.backends.db import SessionStore

from jit.identity import operations, step_up
from jit.identity.permissions import Scope
from jit.kernel import clock
from tests.jit.identity.recorded import events
from tests.support import people

SECOND = dt.timedelta(seconds=1)
MINUTES = step_up.MAX_AGE


@pytest.fixture
def request_of_rita(rf, rita):
    request = rf.post("/")
    request.session = SessionStore()
    request.user = rita
    return request


class TestRequireFresh:
    def test_passes_for_the_act_it_was_given_for(self, request_of_rita, app, now):
        code = app.code(now)
        step_up.confirm(request=request_of_rita, act="approve:1", code=code, now=now)
        later = now + MINUTES - SECOND
        step_up.require_fresh(request_of_rita, act="approve:1", now=later)
        assert request_of_rita.second_factor_at == now
        assert "approve:1" in str(events("second-factor.passed")[0].content)

    def test_refuses_another_act(self, request_of_rita, app, now):
        code = app.code(now)
        step_up.confirm(request=request_of_rita, act="approve:1", code=code, now=now)
        with pytest.raises(step_up.StepUpRequired) as refused:
            step_up.require_fresh(request_of_rita, act="approve:2", now=now)
        assert refused.value.extra == {"act": "approve:2", "max_age_seconds": 300}
        assert refused.value.status == 403

    def test_refuses_the_same_act_when_it_has_aged(self, request_of_rita, app, now):
        code = app.code(now)
        step_up.confirm(request=request_of_rita, act="approve:1", code=code, now=now)
        with pytest.raises(step_up.StepUpRequired):
            step_up.require_fresh(request_of_rita, act="approve:1", now=now + MINUTES)

    def test_is_not_satisfied_by_having_signed_in(self, request_of_rita, app, now):
        operations.verify_totp(
            user=request_of_rita.user,
            code=app.code(now),
            actor=people.acting(request_of_rita.user),
            now=now,
        )
        with pytest.raises(step_up.StepUpRequired):
            step_up.require_fresh(request_of_rita, act="approve:1", now=now)

    def test_is_not_satisfied_by_a_wrong_code(self, request_of_rita, app, now):
        wrong = app.code(now, ahead=8)
        with pytest.raises(operations.CodeWrong):
            step_up.confirm(request=request_of_rita, act="approve:1", code=wrong, now=now)
        assert not step_up.passed_for(request_of_rita, act="approve:1", now=now)


@pytest.mark.urls("tests.jit.identity.urls")
class TestWithBearerToken:
    @pytest.fixture
    def ask(self, client, rita):
        plain = people.token(rita, Scope.DECIDE)

        def put(act, code=None):
            headers = {"Authorization": f"Bearer {plain}"}
            if code:
                headers[step_up.HEADER] = code
            return client.put(f"/api/?act={act}", headers=headers)

        return put

    def test_takes_the_code_in_the_header_once(self, ask, rita):
        app = people.enrolled(rita, now=clock.now())
        code = app.code(clock.now())
        assert ask("approve:1").json()["code"] == "StepUpRequired"
        assert ask("approve:1", code).json() == {"act": "approve:1"}
        again = ask("approve:2", code)
        assert again.status_code == 422
        assert again.json()["code"] == "CodeAlreadyUsed"
        waiting = ask("approve:2", code)
        assert waiting.status_code == 429
        assert waiting.headers["Retry-After"] == "1"

    def test_is_not_satisfied_by_a_browser_session_beside_it(self, ask, rita, client):
        people.signed_in(client, rita)
        session = client.session
        session["jit_step_up"] = {"approve:1": clock.now().isoformat()}
        session.save()
        assert ask("approve:1").json()["code"] == "StepUpRequired"
