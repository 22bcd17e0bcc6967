"""How people say what they do: what is spoken in the videos, and the written captions of held-out clips.

Conventions
-----------
- `{item}` and `{target}` stand for an object's name, `{place}` for where the task happens. All lower case.
- `SPOKEN` is what narrators say. `WRITTEN` are imperative sentences in the manner of YouCook2; no written sentence is
  a spoken one, so that retrieval needs the meaning and not the wording. Their words all have a vector.
"""

from __future__ import annotations

SPOKEN = {
    "chop": (
        "chop the {item} into small pieces",
        "cut the {item} with a sharp knife",
        "just slice the {item} like this",
    ),
    "stir": (
        "stir the {item} slowly",
        "mix the {item} really well",
        "keep stirring the {item} until it is smooth",
    ),
    "pour": (
        "pour the {item} into the {target}",
        "pour in some {item} and fill the {target}",
        "slowly pour your {item} over the {target}",
    ),
    "add": (
        "add the {item} to the {target}",
        "put your {item} right into the {target}",
        "drop the {item} in the {target}",
    ),
    "cook": (
        "cook the {item} on high heat",
        "heat the {item} over the fire",
        "let the {item} cook until it is hot",
    ),
    "measure": (
        "measure the {item} with a ruler",
        "measure the length of your {item}",
        "mark the {item} with the ruler",
    ),
    "saw": (
        "saw the {item} to length",
        "cut through the {item} with a saw",
        "saw right across the {item}",
    ),
    "hammer": (
        "hammer on the {item}",
        "hit the {item} with a hammer",
        "strike the {item} hard with your hammer",
    ),
    "screw": (
        "screw the {item} together with a screwdriver",
        "turn the screw in the {item}",
        "use your screwdriver on the {item}",
    ),
    "tighten": (
        "tighten the {item} on the {target} with a wrench",
        "make sure the {item} on the {target} is tight",
        "turn the {item} on the {target} with the wrench",
    ),
    "paint": (
        "paint the {item} with a brush",
        "give the {item} a coat of paint",
        "brush the paint all over the {item}",
    ),
    "wash": (
        "wash the {item} with a sponge",
        "clean the {item} with soap and water",
        "get your {item} really clean with the sponge",
    ),
    "water": (
        "water the {item} every morning",
        "give the {item} some water",
        "spray some water on the {item}",
    ),
    "cut": (
        "cut the {item} with the scissors",
        "trim the {item} a little bit",
        "use your scissors on the {item}",
    ),
    "sew": (
        "sew the {item} with a needle",
        "pull the needle through the {item}",
        "sew up the hole in the {item}",
    ),
    "lift": (
        "lift the {item} up off the ground",
        "raise the {item} with both hands",
        "pick up the {item} and hold it",
    ),
}

WRITTEN = {
    "chop": (
        "slice the {item} with a knife",
        "cut the {item} into thin pieces",
        "use a sharp knife to chop the {item}",
        "chop up the {item}",
    ),
    "stir": (
        "mix the {item} well",
        "stir all of the {item}",
        "keep mixing the {item} until smooth",
        "mix and stir the {item} by hand",
    ),
    "pour": (
        "fill the {target} with {item}",
        "pour some {item} into the {target}",
        "pour the {item} over everything in the {target}",
        "add the {item} to the {target} and let it pour",
    ),
    "add": (
        "place the {item} inside the {target}",
        "put the {item} into the {target}",
        "add some {item} to the {target}",
        "drop the {item} down into the {target}",
    ),
    "cook": (
        "heat the {item} on the fire",
        "cook the {item} over high heat",
        "place the {item} over a hot fire",
        "keep the {item} on the heat and cook it",
    ),
    "measure": (
        "use a ruler to measure the {item}",
        "check the length of the {item} with a ruler",
        "measure and mark the {item}",
        "find the size of the {item} with the ruler",
    ),
    "saw": (
        "use a saw to cut the {item}",
        "cut the {item} in half with the saw",
        "saw a piece off the {item}",
        "cut across the {item} using a saw",
    ),
    "hammer": (
        "strike the {item} with a hammer",
        "hammer the {item} until it is firm",
        "use a hammer to hit the {item}",
        "hit the {item} repeatedly with the hammer",
    ),
    "screw": (
        "use a screwdriver to fix the {item}",
        "put a screw into the {item}",
        "fix the {item} together with screwdriver and screw",
        "turn a screw into the {item} with the screwdriver",
    ),
    "tighten": (
        "use a wrench to tighten the {item} of the {target}",
        "turn the {item} of the {target} until it is tight",
        "secure the {item} on the {target} with the wrench",
        "make the {item} of the {target} tight using a wrench",
    ),
    "paint": (
        "cover the {item} with paint",
        "put a coat of paint on the {item}",
        "use a brush to paint the {item}",
        "paint all sides of the {item} with the brush",
    ),
    "wash": (
        "clean the {item} with a wet sponge",
        "use soap and a sponge on the {item}",
        "wash the dirt off the {item}",
        "clean and wash the {item} with water",
    ),
    "water": (
        "spray the {item} with water",
        "let fresh water fall on the {item}",
        "water the {item} from above",
        "give plenty of water to the {item}",
    ),
    "cut": (
        "trim the {item} with scissors",
        "use scissors to cut the {item}",
        "cut a small piece off the {item} with the scissors",
        "cut and trim the {item}",
    ),
    "sew": (
        "use a needle to sew the {item}",
        "push the needle through the {item}",
        "close the hole in the {item} with a needle",
        "sew the {item} together by hand",
    ),
    "lift": (
        "raise the {item} off the floor",
        "pick the {item} up with two hands",
        "lift the heavy {item}",
        "hold the {item} and lift it up",
    ),
}

# put after a written sentence; empty ones keep most captions short
DETAILS = ("", "", "", "carefully", "again", "in the {place}")

# a step's name in the list of its task
LABELS = {
    "pour": "pour {item} into {target}",
    "add": "add {item} to {target}",
    "tighten": "tighten {item} on {target}",
}

LEADS = (
    "now",
    "next",
    "okay so",
    "and then",
    "alright",
    "after that",
    "so now you",
    "the next step is to",
)

INTROS = (
    "hi everyone today we {task}",
    "hello and welcome back to my channel",
    "in this video i will show you how to {task}",
    "hey guys let us {task} together",
)

OUTROS = (
    "thanks for watching and see you next time",
    "and that is it please subscribe",
    "let me know what you think",
    "i hope this was helpful to you",
)

# talk that is not about the picture
FILLERS = (
    "that looks really good to me",
    "take your time with this one",
    "this is my favorite part",
    "a lot of people ask me about this",
    "my father showed me this years ago",
    "do not worry if it is not perfect",
    "you can find the list down below",
    "i do this almost every weekend",
    "it is so nice outside today",
    "we are almost half way there",
)

# words that a speech recognizer mistakes for others; other words are lost instead
MISHEARD = {
    "onion": "union",
    "carrot": "character",
    "bowl": "ball",
    "saw": "so",
    "wheel": "will",
    "bolt": "both",
    "egg": "leg",
    "pan": "pen",
    "pot": "part",
    "cut": "cat",
    "stir": "sir",
    "pour": "poor",
    "wood": "would",
    "chair": "share",
    "car": "card",
    "shirt": "short",
    "sew": "so",
    "bear": "bare",
    "tree": "three",
    "paint": "pain",
    "wash": "watch",
    "rice": "rise",
    "chop": "shop",
    "hammer": "number",
    "screw": "crew",
    "lift": "left",
    "water": "order",
    "chain": "change",
    "cake": "take",
    "door": "four",
    "tight": "type",
    "heat": "he",
    "the": "a",
    "and": "in",
    "to": "two",
    "now": "no",
    "your": "you",
}


def label(action: str, item: str, target: str | None) -> str:
    """The step's name in its task's list, e.g. `add egg to bowl`."""
    return LABELS.get(action, action + " {item}").format(item=item, target=target)
