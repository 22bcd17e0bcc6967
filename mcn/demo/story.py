"""What the demo's videos are about: tasks, their ordered steps, actions and objects.

Conventions
-----------
- A step is an action on an object, with a target where the action needs one. Tasks share actions and objects.
- `UNSEEN_TASKS` never occur in training. Each of their actions and objects does, most of them in other combinations.
- An action names its tool's picture and its sound (`mcn.demo.sounds`); its drawing is in `mcn.demo.actions` and its
  wordings in `mcn.demo.sayings`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One thing that is done: `action` of `ACTIONS`, `item` and `target` of `ITEMS`."""

    action: str
    item: str
    target: str | None = None


@dataclass(frozen=True)
class Action:
    """The tool in the picture and the sound it makes."""

    tool: str
    sound: str


@dataclass(frozen=True)
class Item:
    """An object: its names (the first is the common one), its pictures, and how far its hue varies (degrees)."""

    names: tuple[str, ...]
    pictures: tuple[str, ...]
    hues: tuple[int, ...] = (-8, 0, 8)


@dataclass(frozen=True)
class Task:
    """A named, ordered list of steps at one place."""

    place: str
    steps: tuple[Step, ...]


ACTIONS = {
    "chop": Action("knife", "tap"),
    "stir": Action("spoon", "clink"),
    "pour": Action("hand", "gurgle"),
    "add": Action("hand", "thud"),
    "cook": Action("fire", "sizzle"),
    "measure": Action("ruler", "zip"),
    "saw": Action("saw", "rasp"),
    "hammer": Action("hammer", "bang"),
    "screw": Action("screwdriver", "whirr"),
    "tighten": Action("wrench", "ratchet"),
    "paint": Action("brush", "stroke"),
    "wash": Action("sponge", "scrub"),
    "water": Action("droplet", "shower"),
    "cut": Action("scissors", "snip"),
    "sew": Action("needle", "stitch"),
    "lift": Action("hand", "creak"),
}

MADE = (-25, 0, 25)  # hues of things that are sold in several colours

ITEMS = {
    "onion": Item(("onion",), ("onion",)),
    "carrot": Item(("carrot",), ("carrot",)),
    "potato": Item(("potato", "potatoes"), ("potato",)),
    "garlic": Item(("garlic",), ("garlic",)),
    "lemon": Item(("lemon", "fruit"), ("lemon",)),
    "chicken": Item(("chicken", "meat"), ("chicken",)),
    "rice": Item(("rice",), ("rice",)),
    "egg": Item(("egg", "eggs"), ("egg",)),
    "milk": Item(("milk",), ("milk",), (0,)),
    "butter": Item(("butter",), ("butter",)),
    "honey": Item(("honey",), ("honey",)),
    "cake": Item(("cake",), ("cake", "pancakes")),
    "bowl": Item(("bowl",), ("bowl",), MADE),
    "pot": Item(("pot",), ("pot",)),
    "pan": Item(("pan",), ("fried_egg",), MADE),
    "wood": Item(("wood", "board"), ("plank", "plank_dark", "wood")),
    "chair": Item(("chair", "seat"), ("chair",), (0, 12, 25)),
    "door": Item(("door",), ("door",), (-12, 0, 12)),
    "car": Item(("car", "vehicle"), ("car",), MADE),
    "wheel": Item(("wheel", "tire"), ("wheel",)),
    "bolt": Item(("bolt",), ("nutbolt",)),
    "bicycle": Item(("bicycle", "bike"), ("bicycle",), MADE),
    "chain": Item(("chain",), ("chains",)),
    "plant": Item(("plant", "plants"), ("pottedplant", "seedling")),
    "tulip": Item(("tulip", "flower"), ("tulip",), (-35, 0, 35)),
    "tree": Item(("tree",), ("tree",)),
    "bucket": Item(("bucket",), ("bucket",), MADE),
    "shirt": Item(("shirt", "clothes"), ("shirt",), MADE),
    "bear": Item(("bear", "toy"), ("teddy",)),
}

TASKS = {
    "make vegetable soup": Task(
        "kitchen",
        (
            Step("wash", "potato"),
            Step("chop", "onion"),
            Step("chop", "carrot"),
            Step("pour", "milk", "pot"),
            Step("stir", "pot"),
        ),
    ),
    "build a wooden chair": Task(
        "workshop",
        (
            Step("measure", "wood"),
            Step("saw", "wood"),
            Step("hammer", "wood"),
            Step("screw", "chair"),
            Step("paint", "chair"),
        ),
    ),
    "change a car wheel": Task(
        "garage",
        (
            Step("lift", "car"),
            Step("tighten", "bolt", "wheel"),
            Step("lift", "wheel"),
            Step("hammer", "bolt"),
            Step("wash", "wheel"),
        ),
    ),
    "care for garden plants": Task(
        "garden",
        (
            Step("wash", "bucket"),
            Step("cut", "tulip"),
            Step("add", "plant", "bucket"),
            Step("water", "plant"),
            Step("lift", "bucket"),
        ),
    ),
    "repair an old shirt": Task(
        "bedroom",
        (
            Step("wash", "shirt"),
            Step("measure", "shirt"),
            Step("cut", "shirt"),
            Step("sew", "shirt"),
            Step("paint", "shirt"),
        ),
    ),
    "bake a cake": Task(
        "kitchen",
        (
            Step("add", "egg", "bowl"),
            Step("pour", "milk", "bowl"),
            Step("stir", "bowl"),
            Step("add", "butter", "pan"),
            Step("cook", "cake"),
        ),
    ),
    "repair an old door": Task(
        "workshop",
        (
            Step("measure", "door"),
            Step("saw", "door"),
            Step("screw", "door"),
            Step("hammer", "door"),
            Step("paint", "door"),
        ),
    ),
    "fix a bicycle": Task(
        "garage",
        (
            Step("wash", "chain"),
            Step("tighten", "chain", "bicycle"),
            Step("screw", "bicycle"),
            Step("tighten", "wheel", "bicycle"),
            Step("paint", "bicycle"),
        ),
    ),
    "plant a tree": Task(
        "garden",
        (
            Step("lift", "tree"),
            Step("add", "tree", "bucket"),
            Step("water", "tree"),
            Step("cut", "tree"),
            Step("water", "tulip"),
        ),
    ),
    "make a toy bear": Task(
        "bedroom",
        (
            Step("measure", "bear"),
            Step("cut", "shirt"),
            Step("sew", "bear"),
            Step("wash", "bear"),
            Step("lift", "bear"),
        ),
    ),
    "cook fried rice": Task(
        "kitchen",
        (
            Step("chop", "garlic"),
            Step("chop", "onion"),
            Step("add", "egg", "pan"),
            Step("cook", "pan"),
            Step("stir", "rice"),
        ),
    ),
    "cook lemon chicken": Task(
        "kitchen",
        (
            Step("wash", "chicken"),
            Step("chop", "lemon"),
            Step("add", "garlic", "pan"),
            Step("pour", "honey", "pan"),
            Step("cook", "chicken"),
        ),
    ),
}

UNSEEN_TASKS = {
    "make chicken salad": Task(
        "kitchen",
        (
            Step("wash", "carrot"),
            Step("chop", "potato"),
            Step("cook", "egg"),
            Step("add", "onion", "bowl"),
            Step("pour", "honey", "bowl"),
            Step("stir", "bowl"),
        ),
    ),
    "restore an old car": Task(
        "garage",
        (
            Step("wash", "car"),
            Step("measure", "wheel"),
            Step("tighten", "bolt", "car"),
            Step("hammer", "chain"),
            Step("paint", "car"),
        ),
    ),
    "prepare a spring garden": Task(
        "garden",
        (
            Step("saw", "tree"),
            Step("lift", "plant"),
            Step("add", "tulip", "bucket"),
            Step("water", "bucket"),
            Step("paint", "bucket"),
        ),
    ),
}
