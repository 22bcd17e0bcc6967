"""Reconstruction loss: the sign, the reductions, and where its gradient flows."""

import pytest
import torch

from mcn.objectives import reconstruction


def parts(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    widths = {"video": 5, "audio": 3, "text": 7}
    draw = lambda w: torch.randn(4, w, generator=generator, dtype=dtype)  # noqa: E731
    return {m: draw(w) for m, w in widths.items()}, {m: draw(w) for m, w in widths.items()}


def test_is_the_corrected_equation():
    rebuilt, targets = parts()
    total = 0.0
    for i in range(4):
        for modality, target in targets.items():
            width = target.shape[1]
            total += sum(
                (rebuilt[modality][i, d].item() - target[i, d].item()) ** 2 / width
                for d in range(width)
            )
    assert reconstruction(rebuilt, targets).item() == pytest.approx(total / 4)
    assert reconstruction(targets, targets).item() == 0.0  # and it is a minimum


def test_gradient_into_targets_can_be_stopped():
    rebuilt, targets = parts()
    inputs = [rebuilt["audio"].requires_grad_(), targets["audio"].requires_grad_()]
    loss = reconstruction(rebuilt, targets)
    to_rebuilt, to_target = torch.autograd.grad(loss, inputs)
    torch.testing.assert_close(to_rebuilt, -to_target)
    reconstruction(rebuilt, targets, detach_targets=True).backward()
    assert inputs[1].grad is None
    torch.testing.assert_close(inputs[0].grad, to_rebuilt)


def test_gradient():
    rebuilt, targets = parts()
    assert torch.autograd.gradcheck(
        lambda a, b: reconstruction({"video": a}, {"video": b}),
        (rebuilt["video"].requires_grad_(), targets["video"].requires_grad_()),
    )


def test_half_precision_is_reduced_in_float32():
    rebuilt = {"video": torch.full((2, 8), 300.0, dtype=torch.float16)}
    targets = {"video": torch.full((2, 8), -300.0, dtype=torch.float16)}
    assert reconstruction(rebuilt, targets).item() == 360_000.0  # a square that float16 cannot hold


def test_mismatches_are_refused():
    rebuilt, targets = parts()
    with pytest.raises(ValueError, match="audio: "):
        reconstruction(rebuilt, {**targets, "audio": targets["audio"][:1]})
    with pytest.raises(ValueError, match="targets"):
        reconstruction(rebuilt, {"video": targets["video"]})
    with pytest.raises(ValueError, match="targets"):
        reconstruction({}, {})
