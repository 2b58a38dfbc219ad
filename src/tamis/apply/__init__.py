"""Scores beside the events of files: `tamis apply`."""

from tamis.apply.files import Listener, apply_files
from tamis.apply.inputs import ChunkSize, Shard, parse_chunk, parse_shard
from tamis.apply.outputs import Format, parse_format
from tamis.apply.pair import Wish
from tamis.apply.proof import Proof, verify_files
from tamis.apply.scoring import Flag
from tamis.apply.summary import Outcome, Summary

__all__ = [
    "ChunkSize",
    "Flag",
    "Format",
    "Listener",
    "Outcome",
    "Proof",
    "Shard",
    "Summary",
    "Wish",
    "apply_files",
    "parse_chunk",
    "parse_format",
    "parse_shard",
    "verify_files",
]
