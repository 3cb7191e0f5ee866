"""The probe of what the teachers hear: it finds what is in a vector, and not what is not."""

import numpy as np

from benchmarks import teacher_probe

LEARNT, HELD = 200, 60


def vectors_and_said() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(LEARNT + HELD, 12))
    return vectors, vectors @ draw.normal(size=(12, 5)) * 3.0 + 7.0


def test_what_is_linear_in_a_vector_is_found_and_noise_is_not() -> None:
    vectors, said = vectors_and_said()
    tracks = np.repeat(np.arange(HELD // 2), 2)
    noise = np.random.default_rng(1).normal(size=vectors.shape)
    found, predicted = teacher_probe.linear(vectors, said, LEARNT)
    lost, guessed = teacher_probe.linear(noise, said, LEARNT)
    assert found > 0.99
    assert lost < 0.1
    assert teacher_probe.area(predicted, said[LEARNT:]) > 0.99
    assert abs(teacher_probe.area(guessed, said[LEARNT:]) - 0.5) < 0.2
    assert teacher_probe.few(vectors[LEARNT:], said[LEARNT:], tracks) > 0.95
    assert teacher_probe.few(noise[LEARNT:], said[LEARNT:], tracks) < 0.1


def test_kinds_are_told_apart_by_vectors_that_have_them() -> None:
    draw = np.random.default_rng(0)
    place = draw.integers(6, size=LEARNT + HELD)
    said = 20.0 * np.eye(6)[place] @ draw.normal(size=(6, 30)) + draw.normal(size=(len(place), 30))
    truths = teacher_probe.kinds_of((said, said), LEARNT)
    assert [len(truth) for truth in truths] == [HELD] * teacher_probe.DRAWS
    tracks = np.arange(HELD)
    noise = draw.normal(size=(HELD, 30))
    assert teacher_probe.kinds(said[LEARNT:], truths, tracks) > 0.9
    assert teacher_probe.kinds(noise, truths, tracks) < 0.5
