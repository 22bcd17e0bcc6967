"""Small official files of the published data sets, in their exact form, with the traps that the real ones have."""

from __future__ import annotations

import json
from pathlib import Path

BOM = "\ufeff"


def write(path: Path, text: str) -> Path:
    """A text file, its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")
    return path


def video(folder: Path, name: str) -> None:
    """A video file, whose content nobody looks at."""
    write(folder / "videos" / name, "video")


def howto100m(folder: Path) -> Path:
    """Three videos, captions of two of them and of one that is not listed."""
    write(
        folder / "HowTo100M_v1.csv",
        "video_id,category_1,category_2,rank,task_id\n"
        "nVbIUDjzWY4,Cars & Other Vehicles,Motorcycles,27,52907\n"
        "-97kyZVWVG0,Hobbies and Crafts,Crafts,34,119814\n"
        "gkjnR3-ZVts,Food and Entertaining,Drinks,6,25938\n",
    )
    write(
        folder / "HowTo100M_1166_videopaths.txt",
        "path\nhobbies_and_crafts/video_8/-97kyZVWVG0\nNone/food/video_1/gkjnR3-ZVts\n",
    )
    captions = {
        "-97kyZVWVG0": {
            "start": [3.5, 1.0, 4.0],
            "end": [4.0, 3.5, 6.0],
            "text": ['glue "it", then\npress', "cut the paper", " "],
        },
        "nVbIUDjzWY4": {"start": [2, 9], "end": [5, 8], "text": ["oil the chain", "backwards"]},
        "notlisted__": {"start": [0], "end": [1], "text": ["nobody asked"]},
    }
    write(folder / "caption.json", json.dumps(captions))
    video(folder, "hobbies_and_crafts/video_8/-97kyZVWVG0.webm")
    return folder


def youcook2(folder: Path) -> Path:
    """Two validation videos with three clips, two captions alike; the JSON has a third, and a training video."""
    write(
        folder / "validation_youcook.csv",
        "end,start,task,text,video_id\r\n"
        '120,90,113,"add salt, pepper and ""oil""",-AwyG1JcMp8\r\n'
        "\r\n"
        "90,41,113,mix it,-AwyG1JcMp8\r\n"
        "30,12,405,mix it,xHr8X2Wpmno\r\n"
        "30,31,405,too late,xHr8X2Wpmno\r\n",
    )
    database = {
        "-AwyG1JcMp8": _recipe("validation", [(41, 90, "mix it"), (90, 120, "add salt, pepper")]),
        "xHr8X2Wpmno": _recipe("validation", [(12, 30, "mix it")]),
        "third_video": _recipe("validation", [(1, 2, "café au lait")]),
        "trainvideo_": _recipe("training", [(5, 9, "boil water"), (9, 11, "add salt")]),
    }
    write(folder / "youcookii_annotations_trainval.json", json.dumps({"database": database}))
    video(folder, "validation/113/-AwyG1JcMp8.mkv")
    return folder


def _recipe(subset: str, segments: list[tuple[int, int, str]]) -> dict[str, object]:
    return {
        "duration": 300.5,
        "subset": subset,
        "recipe_type": "113",
        "annotations": [
            {"segment": [start, end], "id": number, "sentence": sentence}
            for number, (start, end, sentence) in enumerate(segments)
        ],
        "video_url": "https://www.youtube.com/watch?v=x",
    }


def msrvtt(folder: Path) -> Path:
    """Two test clips; two training clips, one with two captions and an empty one."""
    write(
        folder / "MSRVTT_JSFUSION_test.csv",
        "key,vid_key,video_id,sentence\n"
        "ret0,msr9770,video9770,a person is connecting something to system\n"
        'ret1,msr9771,video9771,"a man, smiling, says ""hi"""\n',
    )
    write(folder / "MSRVTT_train.7k.csv", "video_id\nvideo0\nvideo1\nvideo2\n")
    write(folder / "MSRVTT_train.9k.csv", "video_id\nvideo0\nvideo1\n")
    data = {
        "info": {"year": "2017"},
        "videos": [
            {"video_id": name, "id": number, "start time": start, "end time": end, "split": split}
            for number, (name, start, end, split) in enumerate(
                [
                    ("video0", 137.72, 149.44, "train"),
                    ("video1", 0.0, 15.0, "train"),
                    ("video9770", 10.5, 22.25, "test"),
                ]
            )
        ],
        "sentences": [
            {"video_id": "video0", "sen_id": 0, "caption": "a car is shown"},
            {"video_id": "video1", "sen_id": 1, "caption": "a woman cooks"},
            {"video_id": "video0", "sen_id": 2, "caption": "a car  is driven, fast"},
            {"video_id": "video0", "sen_id": 3, "caption": " "},
        ],
    }
    write(folder / "MSRVTT_data.json", json.dumps(data))
    video(folder, "video9770.mp4")
    return folder


def crosstask(folder: Path) -> Path:
    """Two primary tasks that share a video, one related task; all lists of videos."""
    write(
        folder / "tasks_primary.txt",
        BOM + "23521\nMake Jello Shots\nhttps://www.wikihow.com/Make-Jello-Shots\n3\n"
        "add sugar,pour water,stir mixture\n\n"
        "16815\nGrill Steak\nhttps://www.wikihow.com/Grill-Steak\n2\nseason steak,flip steak\n\n",
    )
    write(
        folder / "tasks_related.txt",
        "105222\nMake Tea\nhttps://www.wikihow.com/Make-Tea\n2\nboil water,pour water\n",
    )
    url = "https://www.youtube.com/watch?v="
    pairs = ["23521,a_b-cdefghi", "23521,-1234567890", "16815,a_b-cdefghi", "105222,tea_video__"]
    write(folder / "videos.csv", "".join(f"{pair},{url}x\r\n" for pair in pairs))
    write(folder / "videos_val.csv", f"23521,-1234567890,{url}x\n")
    write(
        folder / "cvpr19_test.csv",
        "video_id,task,path\na_b-cdefghi,23521,x/a\na_b-cdefghi,16815,x/a\nnotannotate,16815,x/n\n",
    )
    write(folder / "annotations/23521_a_b-cdefghi.csv", "3,40.5,55\n1,10.25,20.0\n1,30,30\n")
    write(folder / "annotations/23521_-1234567890.csv", "2,0,4.5\n")
    write(folder / "annotations/16815_a_b-cdefghi.csv", "2,60,61\n")
    write(folder / "crosstask_constraints/105222_tea_video__.csv", "1,2.0,5.0\n2,4.0,9.0\n")
    video(folder, "a_b-cdefghi.mp4")
    return folder


MINING_LABELS = ["add_oil", "crack_egg", "fry_egg", "background"]


def mining_youtube(folder: Path) -> Path:
    """Four classes; a video with frames and cues, one with cues alone that is not listed, one without anything."""
    write(folder / "weakYouTube_dict.txt", "".join(f"{label}\n" for label in MINING_LABELS))
    other = ["fry_egg", "add_oil", "crack_egg", "background"]
    write(
        folder / "mapping_without_meta.txt",
        "".join(f"{number} {label}\n" for number, label in enumerate(other)),
    )
    write(folder / "test/videos_test.txt", "-1okAudsnAc\nnothing_at_\n")
    write(folder / "test/videos_val.txt", "-1okAudsnAc\n")
    frames = [("background", 10), ("crack_egg", 20), ("background", 10), ("add_oil", 10)]
    frames += [("crack_egg", 10), ("background", 5)]
    labels = [label for label, count in frames for _ in range(count)]
    write(folder / "groundTruth/-1okAudsnAc.txt", "\n".join(labels) + "\n")
    write(
        folder / "transcripts/-1okAudsnAc.txt",
        "".join(f"{label}\n" for label, _ in frames if label != "background"),
    )
    write(
        folder / "annotations/-1okAudsnAc.srt",
        _srt([(0.5, 1.5, "crack_eggs"), (2.0, 2.5, "add_oil"), (2.5, 3.0, "crack_eggs")]),
    )
    write(
        folder / "annotations/cues_only__.srt",
        _srt([(1, 2, "fry_egg"), (3, 5, "tilting_pan"), (6, 7, "add_oil")]),
    )
    video(folder, "-1okAudsnAc.mp4")
    return folder


def _srt(cues: list[tuple[float, float, str]]) -> str:
    return BOM + "".join(
        f"{number}\r\n{_time(start)} --> {_time(end)}\r\n{text}\r\n\r\n"
        for number, (start, end, text) in enumerate(cues, start=1)
    )


def _time(seconds: float) -> str:
    return f"00:00:{int(seconds):02d},{round(seconds % 1 * 1000):03d}"


MAKERS = {
    "howto100m": howto100m,
    "youcook2": youcook2,
    "msrvtt": msrvtt,
    "crosstask": crosstask,
    "mining_youtube": mining_youtube,
}
