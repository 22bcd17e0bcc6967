"""Mining YouTube: classes of cues, and the frame rate of labels, on cases that the official files have."""

from __future__ import annotations

import pytest

from mcn.sources.mining_labels import (
    ERROR_SECONDS,
    Cue,
    LabelRate,
    Segment,
    class_of,
    fit_rate,
    segments_of_cues,
    segments_of_labels,
)

LABELS = ["crack_egg", "pour_egg", "add_asparagu", "fill_tomato", "add_sauce", "background"]
CLASSES = {label: number for number, label in enumerate(LABELS)}


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("crack_egg", "crack_egg"),
        ("crack_eggs", "crack_egg"),
        ("pour_egg_whites", "pour_egg"),
        ("add_asparagus", "add_asparagu"),
        ("fill tomatoes", "fill_tomato"),
        ("add_sauce_soy", "add_sauce"),
        ("using_spatula", None),
        ("background", None),
        ("crack", None),
    ],
)
def test_a_cue_names_its_class_in_singular_or_by_two_words(text, label):
    assert class_of(text, CLASSES) == label


# Times of the first cues of the official sample -1okAudsnAc, whose labels are at 29.97 frames/s, and two later ones
CUES = [
    Cue("crack_egg", 75.277, 83.517),
    Cue("pour_egg", 85.618, 91.424),
    Cue(None, 97.730, 105.072),
    Cue("add_sauce", 107.474, 109.909),
    Cue("crack_egg", 110.0, 110.04),
    Cue("add_sauce", 150.0, 151.0),
    Cue("add_sauce", 151.0, 153.0),
    Cue("pour_egg", 300.0, 310.0),
]


def labels_of(cues, rate, shown=lambda cue: cue.label):
    labels = []
    for cue in cues:
        labels += ["background"] * (int(cue.start * rate) - len(labels))
        labels += [shown(cue) or "background"] * (int(cue.end * rate) - len(labels))
    return labels


@pytest.mark.parametrize("rate", [12, 15, 24000 / 1001, 25, 30000 / 1001, 30, 60, 27.3])
def test_the_rate_is_found_from_the_boundaries(rate):
    found = fit_rate(labels_of(CUES, rate), CUES)
    assert isinstance(found, LabelRate)
    assert found.frames_per_second == pytest.approx(rate, rel=1.01e-3)
    assert found.error_seconds <= 2 / rate
    assert found.cues == len(CUES)


def test_the_sample_is_read_at_29_97_frames_a_second_although_it_stops_early():
    counts = [(2255, "background"), (248, "crack_egg"), (62, "background"), (175, "pour_egg")]
    labels = [label for count, label in counts for _ in range(count)]
    found = fit_rate(labels, CUES)
    assert isinstance(found, LabelRate)
    assert (found.frames_per_second, found.boundaries, found.cues) == (30000 / 1001, 4, 2)
    assert found.error_seconds < 0.04
    segments = segments_of_labels(labels, found, CUES)
    assert segments[1] == Segment(
        "crack_egg", pytest.approx(75.24, abs=0.005), pytest.approx(83.517, abs=0.005)
    )
    assert [segment for segment in segments[4:] if segment.label != "background"] == [
        Segment(*cue) for cue in CUES[3:] if cue.label
    ]


def test_labels_that_stop_within_a_cue_have_its_rest():
    labels = labels_of(CUES, 25)
    last = next(cue for cue in reversed(CUES) if cue.label)
    cut = labels[: round(25 * (last.start + (last.end - last.start) / 3))]
    found = fit_rate(cut, CUES)
    assert isinstance(found, LabelRate)
    assert found.frames_per_second == 25
    whole = fit_rate(labels, CUES)
    for one, other in zip(
        segments_of_labels(cut, found, CUES), segments_of_labels(labels, whole, CUES), strict=False
    ):
        assert one.label == other.label
        assert one.end == pytest.approx(other.end, abs=0.05)


def test_a_cue_without_a_class_may_have_a_run_of_any_label():
    labels = labels_of(CUES, 25, lambda cue: cue.label or "fill_tomato")
    found = fit_rate(labels, CUES)
    assert isinstance(found, LabelRate)
    assert found.frames_per_second == 25


@pytest.mark.parametrize(
    ("cues", "message"),
    [
        (CUES[1:], "do not follow its 6 cues"),
        ([*CUES[:1], Cue("pour_egg", 90.0, 91.4), *CUES[2:]], f"{ERROR_SECONDS} s are allowed"),
        ([Cue(None, 1.0, 2.0)], "do not follow its 1 cues, 0 of them"),
    ],
)
def test_labels_of_other_cues_are_refused_with_the_figures(cues, message):
    found = fit_rate(labels_of(CUES, 25), cues)
    assert isinstance(found, str)
    assert message in found


def test_of_cues_that_overlap_the_first_has_the_time():
    cues = [Cue("crack_egg", 1, 4), Cue("pour_egg", 3, 5), Cue("add_sauce", 4, 4.5)]
    assert segments_of_cues(cues) == [
        Segment("background", 0.0, 1),
        Segment("crack_egg", 1, 4),
        Segment("pour_egg", 4, 5),
    ]
