"""detect_anomaly: the operation and the user's line behind a NaN, an infinity, or a secret change."""

from pathlib import Path

import numpy as np
import pytest

from tinygrad_mnist import AnomalyError, Tensor, anomaly, detect_anomaly


def test_forward_names_operation_and_line():
    with (
        detect_anomaly(),
        pytest.raises(
            AnomalyError, match=r"log: forward gave -inf at index \(1,\).*test_anomaly.py"
        ) as caught,
    ):
        Tensor([1.0, 0.0]).log()
    assert "line 12" in str(caught.value) or "in test_forward_names_operation_and_line" in str(
        caught.value
    )


def test_backward_names_operation_and_line_of_the_forward():
    x = Tensor([0.0, 1.0], requires_grad=True)
    with detect_anomaly():
        y = made_here(x)
        with pytest.raises(AnomalyError, match="sqrt: backward gave inf.*in made_here"):
            y.backward()
    assert x.grad is None


def made_here(x):
    return x.sqrt().sum()


def test_a_file_beside_the_package_with_a_longer_name_is_the_users():
    path = str(Path(anomaly.__file__).parent) + "_app.py"
    code = compile("def made_there(x):\n    return x.log()\n", path, "exec")
    exec(code, names := {})
    with detect_anomaly(), pytest.raises(AnomalyError, match="_app.py.*line 2, in made_there"):
        names["made_there"](Tensor([0.0]))


def test_a_saved_array_changed_secretly():
    x = Tensor([2.0, 1.0], requires_grad=True)
    with detect_anomaly():
        y = (x * x).sum()
        x.data[0] = 5.0
        with pytest.raises(
            AnomalyError, match=r"multiply: an array of shape \(2,\) that it saved was changed"
        ):
            y.backward()


def test_a_block_within_another_knows_what_that_has_seen():
    x = Tensor([2.0, 1.0], requires_grad=True)
    with detect_anomaly():
        y = (x * x).sum()
        x.data[0] = 5.0
        with detect_anomaly(), pytest.raises(AnomalyError, match="multiply: an array"):
            y.backward()


def test_it_ends_with_its_block_and_lets_good_numbers_pass():
    with pytest.raises(ZeroDivisionError), detect_anomaly():
        raise ZeroDivisionError
    with np.errstate(all="ignore"):
        assert Tensor([0.0]).log().item() == -np.inf
    x = Tensor([1.0, 2.0], requires_grad=True)
    with detect_anomaly():
        (x * x).sum().backward()
    np.testing.assert_array_equal(x.grad, [2.0, 4.0])
