"""Live: junit.xml as junitparser reads it, a reader that has nothing to do with us: suites, cases, results and counts; and held
against the Jenkins xUnit plugin's own schema, which pytest's source package carries. Needs the --parity packages and PyPI."""

import pathlib
import subprocess
import sys
import tarfile
import unittest

from harness import PROGRAM, SOURCE, fresh, load_json
from junitparser import Error, Failure, JUnitXml

GATE = SOURCE / "examples" / "gate-only"


class JUnit(unittest.TestCase):
    def test_a_foreign_reader_finds_every_verdict(self):
        out = fresh("junit")
        subprocess.run(["bash", GATE / "gate.sh", PROGRAM, out], check=True, capture_output=True)
        for name in ("failed", "passed", "insufficient"):
            tests = load_json(out / f"{name}.json")["tests"]
            suites = list(JUnitXml.fromfile(str(out / f"{name}.xml")))
            self.assertEqual({suite.name for suite in suites}, {test["language"] for test in tests})
            cases = {case.name: case for suite in suites for case in suite}
            self.assertEqual(len(cases), len(tests))
            for test in tests:
                found = cases[f"{test['task']} {test['metric']}"].result
                kinds = {"pass": [], "fail": [Failure], "insufficient": [Error], "not_comparable": [Error]}[test["outcome"]]
                self.assertEqual([type(result) for result in found], kinds, test)
                self.assertTrue(all(test["reason"] == result.message for result in found))
            for suite in suites:
                stated = (suite.tests, suite.failures, suite.errors, suite.skipped)
                suite.update_statistics()  # counts the cases anew
                self.assertEqual(stated, (suite.tests, suite.failures, suite.errors, suite.skipped))
                self.assertIsNotNone(suite.timestamp)
                self.assertEqual(suite.hostname, "localhost")

    def test_the_schema_of_jenkins_accepts_every_verdict(self):
        out = fresh("junit-jenkins")
        subprocess.run(["bash", GATE / "gate.sh", PROGRAM, out], check=True, capture_output=True)
        schema = jenkins_schema(fresh("junit-schema"))
        for name in ("failed", "passed", "insufficient"):
            found = subprocess.run(["xmllint", "--noout", "--schema", schema, out / f"{name}.xml"], capture_output=True, text=True)
            self.assertEqual(found.returncode, 0, found.stderr)


def jenkins_schema(folder: pathlib.Path) -> pathlib.Path:
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", "pytest", "-d", folder,
                    "pytest==8.4.2"], check=True)
    with tarfile.open(folder / "pytest-8.4.2.tar.gz") as package:
        member = package.extractfile("pytest-8.4.2/testing/example_scripts/junit-10.xsd")
        (folder / "junit-10.xsd").write_bytes(member.read())
    return folder / "junit-10.xsd"


if __name__ == "__main__":
    unittest.main()
