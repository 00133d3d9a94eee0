from degla.text.edits import exchanged_stretches


def test_exchanged_stretches_are_the_shortest_that_explain_the_change():
    assert exchanged_stretches(list("abcd"), list("adcb")) == (range(1, 2), range(3, 4))
    assert exchanged_stretches(list("abcde"), list("decab")) == (range(0, 2), range(3, 5))
    assert exchanged_stretches(list("abc"), list("bca")) == (range(0, 1), range(1, 3))
    assert exchanged_stretches(list("ab"), list("ab")) is None
    assert exchanged_stretches(list("abcd"), list("badc")) is None
