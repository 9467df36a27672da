"""Every setting is read once, checked, and named where it is wrong."""

import dataclasses
from ipaddress import ip_network
from pathlib import Path

import pytest

from pollsvc.app import create_app
from pollsvc.config import ConfigError, Settings
from tests.conftest import ENVIRON

KEYS = ("POLLSVC_SECRET_KEY", "POLLSVC_HASH_KEY", "POLLSVC_ENCRYPTION_KEYS")
CIPHER = ENVIRON["POLLSVC_ENCRYPTION_KEYS"]


def read(tmp_path: Path, **settings: str) -> Settings:
    return Settings.from_environ(
        ENVIRON | {f"POLLSVC_{name.upper()}": text for name, text in settings.items()}, tmp_path
    )


class TestSetting:
    @pytest.mark.parametrize(
        ("name", "text", "value"),
        [
            ("public_url", "https://polls.example", "https://polls.example"),
            ("public_url", "HTTPS://Polls.Example/", "https://polls.example"),
            ("public_url", "https://polls.example:443", "https://polls.example"),
            ("public_url", "http://polls.example:80/", "http://polls.example"),
            ("public_url", "https://polls.example:8443", "https://polls.example:8443"),
            ("public_url", "http://polls.example:443", "http://polls.example:443"),
            ("public_url", "http://[::1]:8000", "http://[::1]:8000"),
            ("public_url", "https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
            ("database_url", "sqlite:////data/polls.db", "sqlite:////data/polls.db"),
            ("database_url", "postgresql://u:p%40@h:5/d", "postgresql+psycopg://u:p%40@h:5/d"),
            ("database_url", "postgresql+psycopg2://u@h/d", "postgresql+psycopg://u@h/d"),
            ("redis_url", "redis://:secret@h:6379/1", "redis://:secret@h:6379/1"),
            ("redis_url", "rediss://h", "rediss://h"),
            ("secret_key", "a" * 32, ("a" * 32,)),
            ("secret_key", f" {'a' * 32} , {'b' * 40},", ("a" * 32, "b" * 40)),
            ("encryption_keys", f"{CIPHER},{CIPHER}", (CIPHER, CIPHER)),
            ("trusted_proxies", "10.0.0.0/8, ::1", (ip_network("10.0.0.0/8"), ip_network("::1"))),
            ("metrics_port", "9100", 9100),
            ("log_level", "WARNING", "warning"),
            ("database_pool", "32", 32),
            ("limit_votes", "10/second;100/minute", "10/second;100/minute"),
            ("limit_staff", "5 per minute", "5 per minute"),
        ],
    )
    def test_is_read(self, tmp_path: Path, name: str, text: str, value: object) -> None:
        assert getattr(read(tmp_path, **{name: text}), name) == value

    @pytest.mark.parametrize(
        ("name", "text", "sentence"),
        [
            ("public_url", "polls.example", "http or https"),
            ("public_url", "ftp://polls.example", "http or https"),
            ("public_url", "https://", "http or https"),
            ("public_url", "https://polls.example/polls", "scheme and a host only"),
            ("public_url", "https://polls.example?x=1", "scheme and a host only"),
            ("public_url", "https://polls.example#x", "scheme and a host only"),
            ("public_url", "https://u:p@polls.example", "scheme and a host only"),
            ("public_url", "https://@polls.example", "scheme and a host only"),
            ("public_url", "https://b\u00fccher.example", "ASCII"),
            ("public_url", "https://polls .example", "ASCII"),
            ("public_url", "https://polls.example:99999", "ort"),
            ("database_url", "polls", "SQLAlchemy URL"),
            ("database_url", "postgresql://u@h:pass/d", "SQLAlchemy URL"),
            ("database_url", "mysql://h/d", "sqlite:/// or postgresql://"),
            ("database_url", "postgres://h/d", "sqlite:/// or postgresql://"),
            ("database_url", "sqlite://", "must name a file"),
            ("database_url", "sqlite:///:memory:", "must name a file"),
            ("redis_url", "localhost:6379", "redis://"),
            ("redis_url", "http://localhost", "redis://"),
            ("redis_url", "redis://h:port/0", "redis://"),
            ("redis_url", "redis://h:0", "redis://"),
            ("secret_key", "short", "at least 32 characters"),
            ("secret_key", f"{'a' * 32},short", "at least 32 characters"),
            ("secret_key", ",", "at least one key"),
            ("hash_key", "a" * 31, "at least 32 characters"),
            ("encryption_keys", "a" * 32, "Fernet"),
            ("encryption_keys", "\u00fc" * 44, "ASCII"),
            ("encryption_keys", ",", "at least one key"),
            ("trusted_proxies", "all", "is not a network"),
            ("trusted_proxies", "10.0.0.1/8", "did you mean 10.0.0.0/8?"),
            ("metrics_port", "0", "whole number above 0"),
            ("metrics_port", "65536", "must be a port"),
            ("metrics_port", "http", "whole number above 0"),
            ("log_level", "loud", "debug, info, warning or error"),
            ("database_pool", "0", "whole number above 0"),
            ("database_pool", "-1", "whole number above 0"),
            ("database_pool", "1.5", "whole number above 0"),
            ("database_pool", "\u0665", "whole number above 0"),
            ("database_pool", "9" * 5_000, "whole number above 0"),
            ("limit_votes", "many", "rate limit"),
            ("limit_votes", "5/fortnight", "rate limit"),
            ("limit_votes", "5/minute;x", "rate limit"),
            ("limit_votes", "0/minute", "at least one request"),
        ],
        ids=lambda value: ascii(value)[:40],
    )
    def test_that_is_wrong_names_itself_and_says_what_to_do(
        self, tmp_path: Path, name: str, text: str, sentence: str
    ) -> None:
        with pytest.raises(ConfigError) as refused:
            read(tmp_path, **{name: text})

        told = str(refused.value)
        assert told.startswith(f"POLLSVC_{name.upper()}: ")
        assert sentence in told
        assert told.endswith((".", "?"))
        assert not told.endswith("..") or told.endswith("xn--...")

    def test_of_a_password_is_not_quoted(self, tmp_path: Path) -> None:
        for name, text in (
            ("database_url", "postgresql://u@h:sesame/d"),
            ("redis_url", "redis://u:sesame/x@h/0"),
            ("secret_key", "sesame"),
        ):
            with pytest.raises(ConfigError) as refused:
                read(tmp_path, **{name: text})
            assert "sesame" not in str(refused.value)

    def test_that_is_empty_has_its_default(self, tmp_path: Path) -> None:
        settings = read(tmp_path, redis_url="", log_level="  ", trusted_proxies="", public_url="")

        assert (settings.redis_url, settings.log_level, settings.trusted_proxies) == (None, "info", ())
        assert settings.public_url == "http://127.0.0.1:8000"

    def test_that_nobody_knows_is_noted_and_no_more(self, tmp_path: Path) -> None:
        settings = Settings.from_environ(
            ENVIRON | {"POLLSVC_LIMIT_VOTE": "1/minute", "POLLSVC_": "", "OTHER": "x"}, tmp_path
        )

        assert settings.unknown == ("POLLSVC_", "POLLSVC_LIMIT_VOTE")

    def test_all_have_a_meaning(self) -> None:
        assert all(f.metadata["meaning"].endswith(".") for f in dataclasses.fields(Settings) if f.metadata)

    def test_a_secret_is_not_shown(self, tmp_path: Path) -> None:
        shown = repr(
            read(
                tmp_path, redis_url="redis://:open-sesame@h/0", database_url="postgresql://u:open-sesame@h/d"
            )
        )

        for secret in ("open-sesame", *(ENVIRON[name] for name in KEYS)):
            assert secret not in shown
        assert "http://localhost" in shown


class TestDefaults:
    def test_put_the_database_beside_the_keys(self, tmp_path: Path) -> None:
        settings = Settings.from_environ({}, tmp_path)

        assert settings.instance == tmp_path / "instance"
        assert settings.database_url == f"sqlite:///{tmp_path / 'instance' / 'pollsvc.db'}"

    def test_are_of_the_working_directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)

        assert Settings.from_environ(ENVIRON).instance == tmp_path / "instance"
        assert (
            read(tmp_path, database_url="sqlite:///mine.db").database_url
            == f"sqlite:///{tmp_path / 'mine.db'}"
        )

    def test_name_each_limit(self, tmp_path: Path) -> None:
        limits = read(tmp_path, limit_votes="1/hour").limits

        assert limits["votes"] == "1/hour"
        assert limits["corrections"] == "20/minute"


class TestCreateApp:
    def test_reads_the_environment_where_no_settings_are_handed_in(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, text in (ENVIRON | {"POLLSVC_DATABASE_URL": f"sqlite:///{tmp_path / 'x.db'}"}).items():
            monkeypatch.setenv(name, text)

        app = create_app()

        assert app.test_client().get("/healthz").status_code == 200
        assert not (tmp_path / "x.db").exists()

    def test_stops_at_a_wrong_setting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("POLLSVC_LOG_LEVEL", "loud")

        with pytest.raises(ConfigError, match="POLLSVC_LOG_LEVEL"):
            create_app()
