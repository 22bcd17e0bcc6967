"""What tests of the page share: ids of its videos, addresses, errors. Fixtures: `served`, `client` of conftest.py."""

from urllib.parse import quote

LOCAL = "http://127.0.0.1:8000"
SOUP, PAN, ROSES = "kitchen/soup.mp4", "kitchen/old/pan.avi", "garden/roses.ts"


def at(video, what):
    """The address of something of a video: transcript, thumbnail, media, preview."""
    return f"/api/videos/{quote(video, safe='')}/{what}"


def error_of(reply):
    """The three sentences of an error."""
    assert reply.headers["content-type"] == "application/json"
    error = reply.json()["error"]
    assert set(error) == {"got", "wanted", "do_this"}
    assert all(error.values())
    return error
