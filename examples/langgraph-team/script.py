"""What the scripted model says for each of the team."""

SOURCES = "the estimate was 42 million and the account says 57 million [bridge]; the foundations were laid twice [council]"
DRAFT = "The harbour bridge cost 57 million instead of 42 million"
REASON = ", since the foundations of the north tower had to be laid twice [bridge, council]."


def reply(messages, tools):
    role, text = messages[0]["content"], messages[-1]["content"]
    if role.startswith("You are the researcher"):
        turn = sum(message["role"] == "assistant" for message in messages)
        if turn == 0:
            return [("library_search", {"word": "bridge"})]
        if turn == 1:
            return [("library_read", {"name": name}) for name in ("bridge", "council")]
        return SOURCES
    if role.startswith("You are the writer"):
        return DRAFT + (REASON if "no source" in text else ".")
    return "OK" if "[bridge" in text.split("Answer:")[1] else "no source is named"
