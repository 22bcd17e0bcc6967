"""A page to search a folder of answers with, and the small API that it stands on.

Conventions
-----------
- `server.py` binds the socket and prints the address; `app.py` puts the routes together; `guard.py` decides who may ask
  at all; `api.py` answers; `parameters.py` says what a request may hold; `openapi.py` describes it to other programs.
- Pictures and previews are made from videos in child processes (`making.py`), because a damaged file can take any
  decoder down, and are kept up to a number of bytes (`file_cache.py`): `thumbnails.py`, `playback.py`, `previews.py`.
- A video is named by its id alone. No path and no name of a file is ever taken from a request.
- Every error of the API is JSON: {"error": {"got", "wanted", "do_this"}}; only what no HTTP request can be understood
  of is answered with a bare status.
"""
