"""A tool server with the tools that the conformance suite of the protocol calls.

The suite calls `test_simple_text`: the tool `simple_text` of a server that is named `test`.
"""

import base64

from mcp.server.fastmcp import FastMCP
from mcp.types import AudioContent, EmbeddedResource, ImageContent, TextContent, TextResourceContents

server = FastMCP("test")
BYTES = base64.b64encode(b"bytes").decode()
TEXT = TextContent(type="text", text="This is a simple text response for testing.")
IMAGE = ImageContent(type="image", data=BYTES, mimeType="image/png")
AUDIO = AudioContent(type="audio", data=BYTES, mimeType="audio/wav")


def embedded(uri, kind, text):
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mimeType=kind, text=text))


@server.tool(structured_output=False)
def simple_text() -> list:
    """Returns a text."""
    return [TEXT]


@server.tool(structured_output=False)
def image_content() -> list:
    """Returns an image."""
    return [IMAGE]


@server.tool(structured_output=False)
def audio_content() -> list:
    """Returns a sound."""
    return [AUDIO]


@server.tool(structured_output=False)
def embedded_resource() -> list:
    """Returns a resource."""
    return [embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")]


@server.tool(structured_output=False)
def multiple_content_types() -> list:
    """Returns a text, an image and a resource."""
    return [TEXT, IMAGE, embedded("test://mixed-content-resource", "application/json", "{}")]


@server.tool(structured_output=False)
def error_handling() -> list:
    """Fails."""
    raise ValueError("This tool intentionally returns an error for testing")


server.run()
