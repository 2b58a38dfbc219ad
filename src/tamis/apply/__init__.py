"""Scores beside the events of files: `tamis apply`."""

from tamis.apply.files import ApplyCallbacks, apply_files
from tamis.apply.input_files import ChunkSize, Shard, parse_chunk, parse_shard
from tamis.apply.job import ApplyOptions
from tamis.apply.outputs import ScoreFileFormat, parse_format
from tamis.apply.scoring import Flag
from tamis.apply.summary import Outcome, Summary
from tamis.apply.verify import ScoreCheck, verify_files

__all__ = [
    "ApplyCallbacks",
    "ApplyOptions",
    "ChunkSize",
    "Flag",
    "Outcome",
    "ScoreCheck",
    "ScoreFileFormat",
    "Shard",
    "Summary",
    "apply_files",
    "parse_chunk",
    "parse_format",
    "parse_shard",
    "verify_files",
]
