from degla.text.edits import exchanged_stretches, what_is_said


def test_exchanged_stretches_are_the_shortest_that_explain_the_change():
    assert exchanged_stretches(list("abcd"), list("adcb")) == (range(1, 2), range(3, 4))
    assert exchanged_stretches(list("abcde"), list("decab")) == (range(0, 2), range(3, 5))
    assert exchanged_stretches(list("abc"), list("bca")) == (range(0, 1), range(1, 3))
    assert exchanged_stretches(list("ab"), list("ab")) is None
    assert exchanged_stretches(list("abcd"), list("badc")) is None


def test_texts_that_differ_in_case_or_closing_mark_say_the_same():
    assert what_is_said("A  dog on a Mat.") == what_is_said("a dog on a mat") != what_is_said("a dog on the mat")
