"""A reader to be shown and forgotten."""

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from sqlalchemy.orm import Session

from pollsvc.app import create_app
from pollsvc.cli import main
from pollsvc.config import Settings
from tests.cli.commands import Run
from tests.conftest import ENVIRON, close, reset_limits
from tests.factories import make_token
from tests.privacy.scene import MORE_PLANTERS, PLANTERS, Scene


class Installation(NamedTuple):
    """An application, made once for all scenes, and its settings."""

    app: Flask
    settings: Settings


@pytest.fixture(scope="session")
def _installation(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    own = dataclasses.replace(settings, instance=tmp_path_factory.mktemp("privacy"))
    made = Installation(create_app(own, ring=lambda: None), own)
    yield made
    close(made.app)


@pytest.fixture
def scene(_installation: Installation, session: Session) -> Iterator[Scene]:
    """An installation with a folder of its own and nobody in it; `scene.later(…)` moves the worker's clock."""
    app, settings = _installation
    reset_limits(app)
    for left in settings.instance.iterdir():
        shutil.rmtree(left)
    token = make_token(session)
    session.commit()
    staff = app.test_client()
    staff.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    made = Scene(app.test_client(), staff, session, settings)
    yield made
    made.worker.close()


@pytest.fixture
def run_on(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on the database of the scene, with other settings where named."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, **settings: str) -> Result:
        given = {**ENVIRON, "POLLSVC_DATABASE_URL": database_url, **settings}
        return CliRunner().invoke(main, arguments, env=given)

    return run


@pytest.fixture
def planted(scene: Scene) -> Scene:
    """The same, with a reader who left something in every place, and a desk that is told of it."""
    scene.site.desk_email = "desk@news.example"
    for plant in PLANTERS:
        plant(scene)
    return scene


@pytest.fixture
def fully_planted(planted: Scene) -> Scene:
    """A reader who commented and has an account too, and was on a list."""
    for plant in MORE_PLANTERS:
        plant(planted)
    return planted
