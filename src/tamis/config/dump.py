"""A configuration as YAML text, with every default filled in."""

from __future__ import annotations

import re

import yaml

from tamis.config.configuration import Config
from tamis.config.document import CORE_RESOLVERS

_WIDTH = 110


class _Dumper(yaml.SafeDumper):
    """Put quotes around every text that YAML 1.1 or 1.2 would read as something else."""

    yaml_implicit_resolvers = yaml.SafeDumper.yaml_implicit_resolvers | CORE_RESOLVERS


def dump_config(config: Config) -> str:
    """Write a configuration as YAML text.

    Args:
        config: the configuration.

    Returns:
        The text, with every default filled in and a comment above each section, always in the same order.
        `parse_config` makes an equal configuration of it.

    Example:
        >>> from tamis.config.load import parse_config
        >>> samples = [{"name": name, "class": name, "files": f"{name}.root"} for name in ("bkg", "sig")]
        >>> classes = {"bkg": {}, "sig": {"signal": True}}
        >>> config = parse_config({"samples": samples, "classes": classes, "features": ["pt"]})
        >>> print("".join(dump_config(config).splitlines(keepends=True)[3:5]), end="")
        # start of all random numbers of the training
        seed: 0
        >>> parse_config(dump_config(config)) == config
        True
    """
    text = yaml.dump(
        config.model_dump(by_alias=True),
        Dumper=_Dumper,
        default_flow_style=None,
        sort_keys=False,
        allow_unicode=True,
        width=_WIDTH,
    )
    # only keys of the top stand at the beginning of a line
    return re.sub(r"(?m)^\w+(?=:)", _with_comment, text).lstrip("\n")


def _with_comment(key: re.Match[str]) -> str:
    return f"\n# {Config.model_fields[key[0]].description}\n{key[0]}"
