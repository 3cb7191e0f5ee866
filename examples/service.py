"""Vectors and tags over HTTP: ``uvicorn service:app``; needs fastapi, uvicorn, python-multipart."""

from typing import Annotated

from fastapi import FastAPI, HTTPException, UploadFile

import mirfeat

MOST_BYTES = 50_000_000

app = FastAPI(title="mirfeat")
extractor = mirfeat.load_extractor("choi2017", max_seconds=600)


def _audio(file: UploadFile) -> bytes:
    data = file.file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise HTTPException(413, f"at most {MOST_BYTES // 1_000_000} MB a file")
    return data


@app.post("/vector")
def vector(file: UploadFile) -> dict[str, list[float]]:
    """320 numbers of an audio file."""
    try:
        return {"vector": extractor.extract(_audio(file)).tolist()}
    except mirfeat.MirfeatError as error:
        raise HTTPException(422, str(error)) from error


@app.post("/tags")
def tags(file: UploadFile, top: Annotated[int, "how many"] = 10) -> dict[str, float]:
    """The most probable tags of an audio file."""
    try:
        return {tag.name: tag.probability for tag in extractor.tags(_audio(file), top=top)}
    except mirfeat.MirfeatError as error:
        raise HTTPException(422, str(error)) from error
