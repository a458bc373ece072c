"""The page on clusters: its Job is a Job, and every command in it composes."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from lvh.config.command_line import read_arguments
from lvh.config.composition import composed_from, recipe_params
from lvh.config.sweep_space import one_point

PAGE = (Path(__file__).resolve().parent.parent / "docs/cluster.md").read_text("utf-8")
BLOCKS = dict(re.findall(r"```(\w+)\n(.*?)```", PAGE.replace("```sh", "```ignored"), re.DOTALL))


def test_the_job_starts_the_module_that_the_image_does_not_name():
    job = yaml.safe_load(BLOCKS["yaml"])
    (container,) = job["spec"]["template"]["spec"]["containers"]
    entry = re.search(r"ENTRYPOINT (.*)", BLOCKS["dockerfile"])
    assert yaml.safe_load(entry[1]) == ["python", "-m"]
    assert container["args"][0] == "lvh.run"
    assert job["spec"]["completions"] == job["spec"]["parallelism"]
    # what cannot succeed is not tried a hundred times
    (rule,) = job["spec"]["podFailurePolicy"]["rules"]
    assert (rule["action"], rule["onExitCodes"]["values"]) == ("FailJob", [1, 2])
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"


@pytest.mark.parametrize("block", ["yaml", "bash"])
def test_its_command_is_a_valid_sweep(block):
    if block == "yaml":
        job = yaml.safe_load(BLOCKS["yaml"])
        arguments = job["spec"]["template"]["spec"]["containers"][0]["args"][1:]
    else:
        typed = BLOCKS["bash"].replace("\\\n", " ").partition("lvh.run")[2]
        arguments = shlex.split(re.sub(r"\$\w+", "1", typed))
    command, flags = read_arguments(arguments)
    assert flags == ["-m"]
    config = one_point(command).load()
    composed_from(one_point(command.with_recipe(recipe_params(config.hydra))).load())
