from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from azureml.core.conda_dependencies import CondaDependencies
from azureml.exceptions import UserErrorException


def test_create_lets_the_server_choose_python() -> None:
    made = CondaDependencies.create(
        conda_packages=["scikit-learn"], pip_packages=["azureml-defaults", "joblib==1.4"]
    )
    assert made.get_python_version() is None
    assert list(made.conda_packages) == ["scikit-learn"]
    assert list(made.pip_packages) == ["azureml-defaults", "joblib==1.4"]
    assert list(made.conda_channels) == ["anaconda", "conda-forge"]


def test_python_version_when_it_is_asked_for() -> None:
    made = CondaDependencies.create(python_version="3.6.2")
    assert made.get_python_version() == "3.6.2"
    made.set_python_version("3.7")
    assert list(made.conda_packages) == ["python=3.7"]


def test_packages_are_replaced_by_name() -> None:
    made = CondaDependencies()
    made.add_pip_package("NumPy==1.0")
    made.add_pip_package("numpy>=2")
    made.add_conda_package("conda-forge::scipy=1.1")
    made.add_conda_package("scipy=1.2")
    assert list(made.pip_packages) == ["azureml-defaults", "numpy>=2"]
    assert list(made.conda_packages) == ["scipy=1.2"]
    made.remove_pip_package("numpy")
    made.remove_conda_package("scipy")
    assert list(made.pip_packages) == ["azureml-defaults"]
    assert list(made.conda_packages) == []


@pytest.mark.azureml(
    "CondaDependencies.set_pip_option",
    "CondaDependencies.set_pip_index_url",
    "CondaDependencies.pip_options",
    "CondaDependencies.set_pip_requirements",
    "CondaDependencies.merge_requirements",
    "CondaDependencies.remove_pip_option",
)
def test_options_and_requirements() -> None:
    made = CondaDependencies.create(pip_indexurl="https://index.test/simple")
    made.set_pip_option("--no-binary :all:")
    made.set_pip_index_url("https://other.test/simple")
    assert sorted(made.pip_options) == ["--index-url https://other.test/simple", "--no-binary :all:"]
    made.set_pip_requirements(["a", "b==1"])
    assert list(made.pip_packages) == ["a", "b==1"]
    made.merge_requirements(["b==2", "c"])
    assert list(made.pip_packages) == ["a", "b==1", "c"]
    made.remove_pip_option("--no-binary")
    assert list(made.pip_options) == ["--index-url https://other.test/simple"]


@pytest.mark.azureml(
    "CondaDependencies.add_tensorflow_pip_package",
    "CondaDependencies.add_tensorflow_conda_package",
    "CondaDependencies.add_cntk_package",
    "CondaDependencies.get_default_number_of_packages",
)
def test_channels_and_frameworks() -> None:
    made = CondaDependencies()
    made.add_channel("pytorch")
    made.add_channel("pytorch")
    made.remove_channel("anaconda")
    assert list(made.conda_channels) == ["conda-forge", "pytorch"]
    made.add_tensorflow_pip_package(core_type="gpu", version="1.12")
    made.add_tensorflow_conda_package()
    made.add_cntk_package()
    assert "tensorflow-gpu==1.12" in list(made.pip_packages)
    assert "tensorflow" in list(made.conda_packages)
    assert made.get_default_number_of_packages() == 1


def test_files_round_trip(here: Path) -> None:
    made = CondaDependencies.create(conda_packages=["numpy"], pip_packages=["x"])
    with open("myenv.yml", "w") as file:  # noqa: PTH123 - as the documentation writes it
        file.write(made.serialize_to_string())
    again = CondaDependencies("myenv.yml")
    assert again.as_dict() == made.as_dict()
    assert CondaDependencies(conda_dependencies_file_path="myenv.yml").as_dict() == made.as_dict()
    assert yaml.safe_load(Path(made.save()).read_text()) == made.as_dict()
    assert made.save_to_file(str(here / "sub"), "c.yml") == "c.yml"
    assert (here / "sub" / "c.yml").is_file()


def test_old_files_without_pip_or_with_empty_pip(here: Path) -> None:
    (here / "a.yml").write_text("name: a\ndependencies:\n- python=3.6.2\n")
    made = CondaDependencies("a.yml")
    assert list(made.pip_packages) == []
    made.add_pip_package("x")
    assert list(made.pip_packages) == ["x"]
    (here / "b.yml").write_text("dependencies:\n- pip:\n")
    assert list(CondaDependencies("b.yml").pip_packages) == []


@pytest.mark.parametrize(("text", "code"), [("- a", "CondaFileInvalid"), ("a: [", "CondaFileInvalid")])
def test_wrong_files(here: Path, text: str, code: str) -> None:
    (here / "a.yml").write_text(text)
    with pytest.raises(UserErrorException) as caught:
        CondaDependencies("a.yml")
    assert caught.value.code == code


def test_missing_file_and_wrong_type(here: Path) -> None:
    with pytest.raises(UserErrorException, match="does not exist"):
        CondaDependencies("none.yml")
    with pytest.raises(UserErrorException, match="list"):
        CondaDependencies.create(pip_packages="numpy")
