"""The tree is that of RFC 6962: the same roots and proofs as another implementation's."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree, verify_consistency, verify_inclusion

from jit.audit import log
from jit.audit.verifier import EMPTY_ROOT, Frontier, NotValid, consistency_holds, inclusion_holds

SIZES = st.integers(min_value=1, max_value=700)


def entry(number: int) -> bytes:
    return f"event {number}".encode()


LEAVES = [log.leaf_hash(entry(number)) for number in range(700)]


class Stored:
    """What the tables hold: leaves, and the roots of whole tiles as the sealer stores them."""

    def __init__(self, size: int) -> None:
        self.frontier = Frontier()
        self.nodes = {(0, idx): LEAVES[idx] for idx in range(size)}
        for idx in range(size):
            for level, place, found in log.completed(idx, LEAVES[idx], self.frontier.peaks):
                self.nodes[level, place] = found
            self.frontier.append(LEAVES[idx])

    def read(self, level: int, idx: int) -> bytes:
        if level % log.TILE == 0:
            return self.nodes[level, idx]
        return log.node_hash(self.read(level - 1, 2 * idx), self.read(level - 1, 2 * idx + 1))


def theirs(size: int) -> InmemoryTree:
    tree = InmemoryTree(algorithm="sha256")
    for number in range(size):
        tree.append_entry(entry(number))
    return tree


def root_of(size: int) -> bytes:
    return Stored(size).frontier.root()


class TestFrontier:
    def test_starts_with_the_hash_of_nothing(self):
        assert Frontier().root() == EMPTY_ROOT == hashlib.sha256(b"").digest()

    def test_has_the_roots_of_rfc_6962s_well_known_vectors(self):
        # The test vectors of certificate-transparency-go and the RFC's reference code.
        inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
        inputs.append("606162636465666768696a6b6c6d6e6f")
        frontier = Frontier()
        for text in inputs:
            frontier.append(log.leaf_hash(bytes.fromhex(text)))
        assert frontier.root().hex() == (
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
        )

    @settings(max_examples=40)
    @given(size=SIZES)
    def test_has_the_same_root_as_pymerkle(self, size: int):
        assert root_of(size) == theirs(size).get_root()

    def test_refuses_peaks_that_do_not_fit_its_size(self):
        with pytest.raises(NotValid):
            Frontier(3, [LEAVES[0]])


class TestCompleted:
    def test_stores_the_root_of_each_whole_tile_and_nothing_else(self):
        stored = Stored(600)
        assert {key for key in stored.nodes if key[0]} == {(8, 0), (8, 1)}
        first = Stored(256).frontier.root()
        assert stored.nodes[8, 0] == first


class TestInclusionProof:
    @settings(max_examples=60)
    @given(data=st.data(), size=SIZES)
    def test_holds_for_its_leaf_and_no_other(self, data: st.DataObject, size: int):
        index = data.draw(st.integers(min_value=0, max_value=size - 1))
        stored = Stored(size)
        proof = log.inclusion_proof(index, size, stored.read)
        root = stored.frontier.root()
        asked = {"index": index, "size": size, "leaf": LEAVES[index], "proof": proof, "root": root}
        assert inclusion_holds(**asked)
        assert not inclusion_holds(**asked | {"leaf": log.leaf_hash(b"another")})
        assert not inclusion_holds(**asked | {"index": index + 1})
        assert not inclusion_holds(**asked | {"proof": [*proof, root]})
        if proof:
            assert not inclusion_holds(**asked | {"proof": proof[:-1]})

    @settings(max_examples=30)
    @given(data=st.data(), size=st.integers(min_value=2, max_value=300))
    def test_is_the_path_that_pymerkle_makes(self, data: st.DataObject, size: int):
        index = data.draw(st.integers(min_value=0, max_value=size - 1))
        tree = theirs(size)
        their_proof = tree.prove_inclusion(index + 1)
        verify_inclusion(LEAVES[index], root_of(size), their_proof)
        ours = log.inclusion_proof(index, size, Stored(size).read)
        assert [step.hex() for step in ours] == their_proof.serialize()["path"][1:]

    @pytest.mark.parametrize(("index", "size"), [(0, 0), (3, 3), (-1, 5)])
    def test_refuses_a_leaf_that_is_not_there(self, index: int, size: int):
        with pytest.raises(ValueError, match="no leaf"):
            log.inclusion_proof(index, size, Stored(5).read)


class TestConsistencyProof:
    @settings(max_examples=80)
    @given(data=st.data(), second=SIZES)
    def test_holds_between_two_ages_of_one_log(self, data: st.DataObject, second: int):
        first = data.draw(st.integers(min_value=0, max_value=second))
        proof = log.consistency_proof(first, second, Stored(second).read)
        asked = {
            "first": first,
            "second": second,
            "proof": proof,
            "first_root": root_of(first) if first else EMPTY_ROOT,
            "second_root": root_of(second),
        }
        assert consistency_holds(**asked)
        assert not consistency_holds(**asked | {"first_root": log.leaf_hash(b"another")})
        assert not consistency_holds(**asked | {"proof": [*proof, LEAVES[0]]})
        if 0 < first < second:
            assert not consistency_holds(**asked | {"second_root": log.leaf_hash(b"another")})
            assert not consistency_holds(**asked | {"proof": proof[:-1]})

    @settings(max_examples=30)
    @given(data=st.data(), second=st.integers(min_value=2, max_value=300))
    def test_agrees_with_pymerkle(self, data: st.DataObject, second: int):
        first = data.draw(st.integers(min_value=1, max_value=second - 1))
        tree = theirs(second)
        verify_consistency(root_of(first), root_of(second), tree.prove_consistency(first, second))

    def test_refuses_a_log_that_shrank(self):
        with pytest.raises(ValueError, match="begin"):
            log.consistency_proof(5, 4, Stored(5).read)
        assert not consistency_holds(
            first=5, second=4, proof=[], first_root=root_of(5), second_root=root_of(4)
        )
