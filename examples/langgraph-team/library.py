"""An MCP server with the texts of the folder `texts`."""

import pathlib

from mcp.server.fastmcp import FastMCP

TEXTS = pathlib.Path(__file__).resolve().parent / "texts"
server = FastMCP("library")


@server.tool()
def search(word: str) -> str:
    """Returns the names of the texts that contain a word."""
    names = [path.stem for path in sorted(TEXTS.glob("*.txt")) if word.lower() in path.read_text().lower()]
    return ", ".join(names) or f"no text has the word {word}"


@server.tool()
def read(name: str) -> str:
    """Returns a text by its name."""
    known = {path.stem: path for path in TEXTS.glob("*.txt")}
    if name not in known:
        raise ValueError(f"there is no text {name}; there are {', '.join(sorted(known))}")
    return known[name].read_text()


server.run()
