"""Random changes of crops: each does what it says, none does harm, and off is off."""

import math
from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from mirfeat.networks.frontend import Frontend, MelSpec
from mirfeat.networks.scaling import DecibelScale, LogScale
from mirfeat.training.augment import Augmenter, Mixed
from mirfeat.training.config import Augmentation

BANDS, FRAMES, CROPS = 32, 20, 200
DECIBELS = MelSpec(
    sample_rate=8000, channels=2, n_fft=256, hop_samples=128, n_mels=BANDS, fmax_hz=4000.0,
    scaling=DecibelScale("unity"),
)  # fmt: skip
MAGNITUDE = replace(DECIBELS, scaling=LogScale(), power=1)
POWER = replace(DECIBELS, scaling=LogScale(), power=2)
# One dB in the unit of the levels: dB, natural logarithm of magnitude, and of power.
UNITS = [(DECIBELS, 1.0), (MAGNITUDE, math.log(10) / 20), (POWER, math.log(10) / 10)]
ALL = Augmentation(6.0, 6.0, 0.0, 0.0, 0.5, 0.5, 0.5, 0.5, 0.5)


def levels_of(seed: int = 0, crops: int = CROPS, channels: int = 2) -> Tensor:
    """Levels [B, C, F, T] of -80 to 0."""
    draw = torch.Generator().manual_seed(seed)
    return -80.0 * torch.rand(crops, channels, BANDS, FRAMES, generator=draw)


def changed(changes: Augmentation, mel: MelSpec = DECIBELS, seed: int = 1) -> tuple[Tensor, Mixed]:
    levels = levels_of()
    return levels, Augmenter(changes, mel)(levels, seed)


def test_off_is_the_identity() -> None:
    levels, mixed = changed(Augmentation())
    assert torch.equal(mixed.levels, levels)
    targets = torch.rand(CROPS, 3)
    targets[5] = math.nan
    assert torch.equal(mixed.targets(targets).nan_to_num(9), targets.nan_to_num(9))
    assert not mixed.share.any()


@pytest.mark.parametrize("mel", [DECIBELS, MAGNITUDE, POWER])
def test_the_seed_decides_and_the_input_is_left_alone(mel: MelSpec) -> None:
    levels = levels_of()
    before = levels.clone()
    first = Augmenter(ALL, mel)(levels, 5)
    torch.rand(7)
    again = Augmenter(ALL, mel)(levels, 5)
    assert torch.equal(levels, before)
    assert torch.equal(first.levels, again.levels)
    assert torch.equal(first.share, again.share)
    assert not torch.equal(first.levels, Augmenter(ALL, mel)(levels, 6).levels)


def test_the_state_of_torch_is_left_alone() -> None:
    before = torch.get_rng_state()
    changed(ALL)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("mel", "unit"), UNITS)
def test_gain_is_one_number_a_crop_in_decibels(mel: MelSpec, unit: float) -> None:
    levels, mixed = changed(Augmentation(gain_db=6.0), mel)
    gains = (mixed.levels - levels).flatten(1)
    assert gains.std(1).max() < 1e-4
    gains_db = gains.mean(1) / unit
    assert gains_db.abs().max() <= 6.0 + 1e-4
    assert gains_db.max() > 5.0
    assert gains_db.min() < -5.0


@pytest.mark.parametrize(("mel", "unit"), UNITS)
def test_a_decibel_is_what_a_louder_waveform_gains(mel: MelSpec, unit: float) -> None:
    audio = torch.rand(1, 2, 4000, generator=torch.Generator().manual_seed(0)) - 0.5
    frontend = Frontend(mel)
    louder = frontend.levels(audio * 10 ** (3.0 / 20))
    torch.testing.assert_close(louder, frontend.levels(audio) + 3.0 * unit, atol=1e-3, rtol=0)


@pytest.mark.parametrize(("mel", "unit"), UNITS)
def test_the_equaliser_is_a_smooth_curve_over_bands(mel: MelSpec, unit: float) -> None:
    levels, mixed = changed(Augmentation(equaliser_db=8.0), mel)
    curves = mixed.levels - levels
    torch.testing.assert_close(curves, curves[:, :1, :, :1].expand_as(curves), atol=1e-4, rtol=0)
    curves_db = curves[:, 0, :, 0] / unit
    assert curves_db.abs().max() <= 8.0 + 1e-3
    assert curves_db.std(1).min() > 0.1
    # Six knots: no two bands next to each other differ by more than 16 dB / (31 / 5).
    assert curves_db.diff(dim=1).abs().max() <= 16.0 / (BANDS - 1) * 5 + 1e-3


def test_swap_exchanges_channels_as_often_as_it_says() -> None:
    levels, mixed = changed(Augmentation(swap=0.3))
    swapped = (mixed.levels == levels.flip(1)).flatten(1).all(1)
    kept = (mixed.levels == levels).flatten(1).all(1)
    assert (swapped ^ kept).all()
    assert 0.2 < swapped.float().mean() < 0.4


def test_mono_gives_both_channels_the_mean() -> None:
    levels, mixed = changed(Augmentation(mono=0.3))
    mean = levels.mean(1, keepdim=True).expand_as(levels)
    mono = (mixed.levels == mean).flatten(1).all(1)
    kept = (mixed.levels == levels).flatten(1).all(1)
    assert (mono ^ kept).all()
    assert 0.2 < mono.float().mean() < 0.4


def test_one_channel_has_nothing_to_swap() -> None:
    levels = levels_of(channels=1)
    mel = replace(DECIBELS, channels=1)
    assert torch.equal(Augmenter(Augmentation(swap=1.0, mono=1.0), mel)(levels, 0).levels, levels)


def test_lowpass_leaves_nothing_above_a_band() -> None:
    levels, mixed = changed(Augmentation(lowpass=0.4))
    quiet = levels.amin((1, 2, 3), keepdim=True)
    cuts = []
    for before, after, lowest in zip(levels, mixed.levels, quiet, strict=True):
        silent = (after == lowest).all(2).all(0)
        cut = int((~silent).sum())
        assert silent[cut:].all()
        assert torch.equal(after[:, :cut], before[:, :cut])
        cuts.append(cut)
    share = sum(cut < BANDS for cut in cuts) / CROPS
    assert 0.25 < share < 0.5
    assert min(cuts) >= math.floor(0.6 * BANDS)


@pytest.mark.parametrize(("mel", "unit"), UNITS)
def test_mix_is_the_louder_of_two(mel: MelSpec, unit: float) -> None:
    levels, mixed = changed(Augmentation(mix=0.4), mel)
    chosen = mixed.share > 0
    assert 0.25 < chosen.float().mean() < 0.55
    assert torch.equal(mixed.levels[~chosen], levels[~chosen])
    for row in torch.nonzero(chosen).flatten().tolist():
        share = float(mixed.share[row])
        assert 0.0 < share <= 0.5
        down_db = -10 * math.log10(share / (1 - share))
        assert -1e-3 <= down_db <= 15.0 + 1e-3
        partner = int(mixed.partner[row])
        assert partner != row
        expected = torch.maximum(levels[row], levels[partner] - down_db * unit)
        torch.testing.assert_close(mixed.levels[row], expected, atol=1e-2, rtol=0)


def test_targets_are_mixed_like_sound() -> None:
    _, mixed = changed(Augmentation(mix=0.5))
    targets = torch.softmax(torch.rand(CROPS, 4), 1)
    result = mixed.targets(targets)
    torch.testing.assert_close(result.sum(1), torch.ones(CROPS))
    for row in range(CROPS):
        share = mixed.share[row]
        expected = (1 - share) * targets[row] + share * targets[mixed.partner[row]]
        torch.testing.assert_close(result[row], expected)
    assert torch.equal(result[mixed.share == 0], targets[mixed.share == 0])
    assert mixed.targets(torch.zeros(CROPS, 0)).shape == (CROPS, 0)


def test_only_a_mixture_takes_over_that_a_label_is_not_known() -> None:
    _, mixed = changed(Augmentation(mix=0.5))
    targets = torch.ones(CROPS, 2)
    targets[::2, 0] = math.nan
    result = mixed.targets(targets)
    alone = mixed.share == 0
    assert torch.equal(result[alone].isnan(), targets[alone].isnan())
    both = targets.isnan() | targets[mixed.partner].isnan()
    assert torch.equal(result[~alone].isnan(), both[~alone])
    # A label that only the partner has is not the crop's own, however small its share.
    one = torch.zeros(CROPS, 1)
    one[mixed.partner[alone]] = 1.0
    own = one[alone]
    assert torch.equal(mixed.targets(one)[alone], own)


def test_mixing_can_be_left_out() -> None:
    levels = levels_of()
    mixed = Augmenter(Augmentation(mix=1.0), DECIBELS)(levels, 0, mix=False)
    assert torch.equal(mixed.levels, levels)
    assert not mixed.share.any()


def test_mask_hides_a_stretch_of_time_and_one_of_bands() -> None:
    levels, mixed = changed(Augmentation(mask=0.6))
    hidden = mixed.levels == levels.mean((1, 2, 3), keepdim=True)
    assert torch.equal(mixed.levels[~hidden], levels[~hidden])
    touched = hidden.flatten(1).any(1)
    assert 0.4 < touched.float().mean() < 0.75
    in_bands, in_frames = hidden.all(3).all(1), hidden.all(2).all(1)
    assert torch.equal(
        hidden, (in_bands[:, None, :, None] | in_frames[:, None, None, :]).expand_as(hidden)
    )
    for spans, size in ((in_bands, BANDS), (in_frames, FRAMES)):
        assert spans.sum(1).max() <= math.ceil(0.2 * size)
        assert spans.any(1).float().mean() > 0.3
        for span in spans[spans.any(1)]:
            places = torch.nonzero(span).flatten()
            assert len(places) == places[-1] - places[0] + 1  # one stretch


@pytest.mark.parametrize("mel", [DECIBELS, MAGNITUDE, POWER])
@pytest.mark.parametrize("kind", ["silence", "noise", "one crop", "one frame"])
def test_everything_at_once_stays_finite(mel: MelSpec, kind: str) -> None:
    levels = {
        "silence": torch.full((4, 2, BANDS, FRAMES), -100.0),
        "noise": levels_of(3),
        "one crop": levels_of(3, 1),
        "one frame": levels_of(3)[..., :1],
    }[kind]
    most = Augmentation(40.0, 40.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    for seed in range(5):
        mixed = Augmenter(most, mel)(levels, seed)
        assert mixed.levels.shape == levels.shape
        assert mixed.levels.isfinite().all()
        assert mixed.levels.dtype == torch.float32
        assert mixed.share.isfinite().all()


@pytest.mark.parametrize("name", [field.name for field in fields(Augmentation)])
def test_each_change_alone_is_repeated_by_its_seed(name: str) -> None:
    value = 3.0 if name.endswith(("_db", "_bands")) else 0.5
    changes = replace(Augmentation(), **{name: value})
    levels, first = changed(changes)
    _, again = changed(changes)
    assert torch.equal(first.levels, again.levels)
    # Stretch and shift are where crops are cut.
    assert torch.equal(first.levels, levels) == (name in ("stretch", "shift_bands"))
