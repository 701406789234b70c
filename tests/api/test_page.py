"""The dashboard's files go out compressed, answers of the API do not."""

import gzip
from pathlib import Path

from tests.api.made import ask, fill, serving


def test_files_are_compressed_and_answers_are_not(tmp_path: Path) -> None:
    path = str(tmp_path / "store.db")
    fill(path, 3)
    web = tmp_path / "web"
    web.mkdir()
    (web / "index.html").write_text("<!doctype html>" + "figure " * 500)
    with serving(path, web=web) as address:
        status, page, headers = ask(address, "/", accept_encoding="gzip")
        assert (status, headers["content-encoding"]) == (200, "gzip")
        assert gzip.decompress(page) == (web / "index.html").read_bytes()
        assert "accept-encoding" in headers["vary"].lower()
        _, plain, headers = ask(address, "/")
        assert plain == (web / "index.html").read_bytes()
        _, _, headers = ask(address, "/openapi.json", accept_encoding="gzip")
        assert "content-encoding" not in headers
