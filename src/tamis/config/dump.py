"""Write a configuration as YAML text, with every default filled in."""

from __future__ import annotations

import re

import yaml

from tamis.config.configuration import Config
from tamis.config.document import CORE_RESOLVERS

_WIDTH = 110


class _Dumper(yaml.SafeDumper):
    """Quotes every text that YAML 1.1 or 1.2 would read as another type."""

    yaml_implicit_resolvers = yaml.SafeDumper.yaml_implicit_resolvers | CORE_RESOLVERS


def dump_config(config: Config) -> str:
    """Return a configuration as YAML text, with every default and a comment above each section.

    `parse_config` returns an equal configuration.

    Example:
        >>> from tamis.config.load import parse_config
        >>> samples = [{"name": name, "class": name, "files": f"{name}.root"} for name in ("bkg", "sig")]
        >>> classes = {"bkg": {}, "sig": {"signal": True}}
        >>> config = parse_config({"samples": samples, "classes": classes, "features": ["pt"]})
        >>> print("".join(dump_config(config).splitlines(keepends=True)[3:5]), end="")
        # seed of the random numbers of the training
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
    fields = Config.model_fields
    # only top-level keys are at the beginning of a line
    return re.sub(r"(?m)^\w+(?=:)", lambda key: f"\n# {fields[key[0]].description}\n{key[0]}", text).lstrip(
        "\n"
    )
