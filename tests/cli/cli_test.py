"""The command line against a real server and a real model: python3 cli_test.py PATH_OF_CRIA.

Needs SmolLM2-135M-Instruct.Q4_1.gguf in CRIA_TEST_MODELS (default ~/.cache/cria-test-models).
"""
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "server"))
from bert_file import gguf  # noqa: E402

MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
FOLDER = Path(os.environ.get("CRIA_TEST_MODELS") or Path.home() / ".cache/cria-test-models")
MINILM = FOLDER / "all-MiniLM-L6-v2"
CRIA = ""
PATIENCE = 240
SENT = r"\x1b\[J\r\n"  # what the line editor writes when a message goes out


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Terminal:
    """The prompt on a pseudo-terminal."""

    def __init__(self, arguments, environment):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(CRIA, [CRIA, *arguments], environment)
        self.text = ""

    def read(self, seconds):
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            piece = os.read(self.fd, 65536)
        except OSError:
            return False
        self.text += piece.decode("utf-8", "replace")
        return bool(piece)

    def wait_for(self, pattern, start=0, seconds=PATIENCE):
        end = time.time() + seconds
        while time.time() < end:
            found = re.compile(pattern).search(self.text, start)
            if found:
                return found.end()
            if not self.read(0.2):
                break
        raise AssertionError(f"{pattern!r} did not appear in {self.text[start:]!r}")

    def send(self, text):
        os.write(self.fd, text.encode())

    def exit_code(self, seconds=30):
        end = time.time() + seconds
        while time.time() < end:
            self.read(0.1)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        raise AssertionError("the program did not end")


class CommandLine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = tempfile.mkdtemp(prefix="cria_cli_")
        cls.environment = {
            "HOME": cls.home, "PATH": os.environ["PATH"], "TERM": "xterm", "LANG": "C.UTF-8",
            "OLLAMA_HOST": f"127.0.0.1:{free_port()}",
            # A small model sometimes finds no end; ten contexts are the most that it may say.
            "OLLAMA_CONTEXT_LENGTH": "256"}
        # No server listens: `run` starts one in the background and imports the file.
        cls.first = cls.cria("run", str(FOLDER / MODEL_FILE), "Say hello.", "--verbose")
        cls.model = cls.cria("list").stdout.splitlines()[1].split()[0]

    @classmethod
    def tearDownClass(cls):
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                environment = (folder / "environ").read_bytes()
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if f"HOME={cls.home}".encode() in environment and b"serve" in words:
                os.kill(int(folder.name), signal.SIGTERM)
        time.sleep(1)
        shutil.rmtree(cls.home, ignore_errors=True)

    @classmethod
    def cria(cls, *arguments, stdin=None):
        return subprocess.run([CRIA, *arguments], env=cls.environment, text=True, timeout=PATIENCE,
                              input=stdin or "", capture_output=True)

    def test_first_run_started_a_server_and_answered_without_escape_codes(self):
        self.assertEqual(self.first.returncode, 0, self.first.stderr)
        self.assertNotIn("\x1b", self.first.stdout + self.first.stderr)
        self.assertTrue(self.first.stdout.endswith("\n\n"))
        self.assertRegex(self.first.stdout, r"\w")
        self.assertRegex(self.first.stderr, r"eval rate: +\d+\.\d\d tokens/s")
        self.assertTrue((Path(self.home) / ".ollama/logs/server.log").exists())

    def test_second_import_finds_the_model_again(self):
        before = self.cria("list").stdout.splitlines()
        self.assertEqual(self.cria("run", str(FOLDER / MODEL_FILE), "").stdout, "")
        self.assertEqual(len(self.cria("list").stdout.splitlines()), len(before))

    def test_answers_have_the_format_that_is_asked_for(self):
        folder = Path(tempfile.mkdtemp())
        schema = {"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}, "required": ["colour"],
                  "additionalProperties": False}
        (folder / "colour.json").write_text(json.dumps(schema))
        (folder / "colour.gbnf").write_text('root ::= "red" | "blue"\n')

        def ask(form):
            return self.cria("run", self.model, "--format", form, "Which colour has the sea?").stdout.strip()
        for form in (json.dumps(schema), str(folder / "colour.json")):
            self.assertIn(json.loads(ask(form))["colour"], ("red", "blue"))
        self.assertIn(ask(str(folder / "colour.gbnf")), ("red", "blue"))
        self.assertRegex(ask("regex:[A-Z][a-z]{3} no [0-9]{2}"), r"^[A-Z][a-z]{3} no [0-9]{2}$")
        (folder / "broken.gbnf").write_text("root ::= missing")
        for form, wanted in (("yaml", "must be json, a JSON schema"), ("regex:(", "the pattern is wrong"), (str(folder / "none.json"), "none.json"),
                             (str(folder / "broken.gbnf"), "missing"), ("{", "the schema of --format: unexpected EOF")):
            answer = self.cria("run", self.model, "--format", form, "Hi")
            self.assertEqual(answer.returncode, 1, form)
            self.assertIn(wanted, answer.stderr)
        missing = self.cria("run", self.model, "--format", str(folder / "none.json"), "Hi").stderr
        self.assertEqual(missing.count("none.json"), 1, missing)
        shutil.rmtree(folder)

    def test_an_embedding_model_prints_its_vector(self):
        if not MINILM.exists():
            self.skipTest(f"{MINILM} is missing; tools/fetch_models.py minilm gets it")
        folder = Path(tempfile.mkdtemp())
        (folder / "minilm.gguf").write_bytes(gguf(MINILM))

        def embed(*flags, text="hello"):
            return self.cria("run", str(folder / "minilm.gguf"), *flags, text)
        for text in ("hello", "a test", "the sea"):  # some of 1152 numbers take the long way to their digits
            line = embed(text=text).stdout
            numbers = line.strip().strip("[]").split(",")
            self.assertEqual(len(numbers), 384)
            for number in numbers:
                self.assertLessEqual(len(re.sub("e.*", "", number).strip("-0.").replace(".", "")), 9, number)
        self.assertEqual(len(json.loads(embed("--dimensions", "3").stdout)), 3)
        for wrong in ("x", "1.5", "-3", ""):
            answer = embed("--dimensions", wrong)
            self.assertEqual(answer.returncode, 1)
            self.assertIn(f'invalid value for --dimensions: "{wrong}" (must be a whole number, as in', answer.stderr)
        shutil.rmtree(folder)

    def test_a_model_that_came_from_a_file_is_saved_under_another_name(self):
        prompt = Terminal(["run", self.model], self.environment)
        at = prompt.wait_for(r">>> ")
        prompt.send("/set system You are a baby llama.\r")
        at = prompt.wait_for(r"Set system message", at)
        prompt.send("/save saved-by-prompt\r")
        prompt.wait_for(r"Created new model 'saved-by-prompt'", at)
        prompt.send("/bye\r")
        self.assertEqual(prompt.exit_code(), 0)
        self.assertEqual(self.cria("show", "saved-by-prompt", "--system").stdout.strip(), "You are a baby llama.")
        self.assertEqual(self.cria("rm", "saved-by-prompt").returncode, 0)

    def test_bash_completes_commands_flags_and_models(self):
        script = Path(self.home) / "completion.bash"
        script.write_text(self.cria("completion", "bash").stdout)
        def complete(line):
            words = line.split(" ")
            program = (f"cria() {{ {CRIA} \"$@\"; }}; source {script}; COMP_WORDS=({' '.join(repr(w) for w in words)}); "
                       f"COMP_LINE={line!r}; COMP_POINT={len(line)}; COMP_CWORD={len(words) - 1}; _cria; "
                       "printf '%s\\n' \"${COMPREPLY[@]}\"")
            done = subprocess.run(["bash", "-c", program], env=self.environment, capture_output=True, text=True, timeout=60)
            self.assertEqual(done.stderr, "")
            return done.stdout.split()
        self.assertEqual(complete("cria pu"), ["pull", "push"])
        self.assertEqual(complete("cria create --q"), ["--quantize"])
        self.assertEqual(complete("cria run " + self.model[:4]), [self.model])
        name, tag = self.model.split(":")
        self.assertEqual(complete(f"cria show {name}:"), [tag])
        self.assertEqual(complete("cria serve x"), [])

    def test_other_shells_and_the_manual_page(self):
        for shell in ("zsh", "fish"):
            script = self.cria("completion", shell).stdout
            for word in ("verify", "limit-rate", "quantize"):
                self.assertIn(word, script)
            checked = subprocess.run([shell, "-n"], input=script, text=True, capture_output=True)
            self.assertEqual((checked.returncode, checked.stderr), (0, ""))
        folder = Path(self.home) / "bin"
        folder.mkdir(exist_ok=True)
        (folder / "cria").symlink_to(Path(CRIA).resolve())
        environment = dict(self.environment, PATH=f"{folder}:{self.environment['PATH']}")
        def fish(line):
            program = f'cria completion fish | source; complete -C "{line}"'
            done = subprocess.run(["fish", "-c", program], env=environment, capture_output=True, text=True, timeout=60)
            return [row.split("\t")[0] for row in done.stdout.splitlines()]
        self.assertEqual(fish("cria pu"), ["pull", "push"])
        self.assertEqual(fish("cria prune --d"), ["--dry-run"])
        self.assertEqual(fish("cria show " + self.model[:4]), [self.model])
        program = """compdef() { }; compadd() { print -r -- "$@" }; source =(cria completion zsh)
            words=(cria create --q); CURRENT=3 PREFIX=--q _cria; words=(cria show x); CURRENT=3 PREFIX=x _cria"""
        done = subprocess.run(["zsh", "-f", "-c", program], env=environment, capture_output=True, text=True, timeout=60)
        self.assertIn("--quantize", done.stdout.splitlines()[0], done.stderr)
        self.assertIn(self.model, done.stdout.splitlines()[1].split())
        bad = self.cria("completion", "tcsh")
        self.assertEqual((bad.returncode, bad.stdout), (1, ""))
        self.assertIn("bash, zsh and fish", bad.stderr)
        page = self.cria("man").stdout
        self.assertIn(".SS cria run MODEL [PROMPT]", page)
        self.assertIn(".B OLLAMA_HOST", page)
        checked = subprocess.run(["man", "--warnings=all", "-E", "UTF-8", "-l", "-"], input=page, text=True, capture_output=True)
        self.assertEqual((checked.returncode, checked.stderr), (0, ""))

    def test_tables_and_show(self):
        self.assertRegex(self.cria("list").stdout, r"^NAME +ID +SIZE +MODIFIED +\n\S+ +[0-9a-f]{12} ")
        self.cria("run", self.model, "")
        self.assertRegex(self.cria("ps").stdout, r"100% CPU +\d+ +\d+ minutes from now")
        self.assertRegex(self.cria("show", self.model).stdout,
                         r"(?s)  Model\n    architecture +llama.*  Capabilities\n    completion")
        self.assertIn("FROM ", self.cria("show", "--modelfile", self.model).stdout)

    def test_copy_create_and_remove(self):
        self.assertEqual(self.cria("cp", self.model, "a").stdout, f"copied '{self.model}' to 'a'\n")
        modelfile = Path(self.home) / "Modelfile"
        modelfile.write_text("FROM a\nSYSTEM Be brief.\nPARAMETER temperature 0\n")
        created = self.cria("create", "b", "-f", str(modelfile))
        self.assertEqual(created.returncode, 0, created.stderr)
        self.assertTrue(created.stderr.endswith("success\n"), created.stderr)
        self.assertEqual(self.cria("show", "--system", "b").stdout, "Be brief.")
        removed = self.cria("rm", "a", "b", "nothing")
        self.assertEqual(removed.stdout, "deleted 'a'\ndeleted 'b'\n")
        self.assertEqual((removed.returncode, removed.stderr),
                         (1, "Error: model 'nothing' not found\n"))

    def test_create_reads_a_modelfile_from_a_pipe(self):
        made = self.cria("create", "piped", "-f", "-", stdin=f"FROM {self.model}\nSYSTEM From a pipe.\n")
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertEqual(self.cria("show", "--system", "piped").stdout, "From a pipe.")
        self.assertEqual(self.cria("rm", "piped").returncode, 0)

    def test_what_a_model_says_cannot_steer_the_terminal(self):
        made = self.cria("create", "evil", "-f", "-", stdin=f"FROM {self.model}\nSYSTEM x\n")
        self.assertEqual(made.returncode, 0, made.stderr)
        body = b'{"model":"evil","from":"' + self.model.encode() + b'","system":"\\u001b[2Jgone\\u009b2J","stream":false}'
        address = f"http://{self.environment['OLLAMA_HOST']}/api/create"
        self.assertEqual(urllib.request.urlopen(urllib.request.Request(address, body)).status, 200)
        self.assertEqual(self.cria("show", "--system", "evil").stdout, "\x1b[2Jgone\u009b2J")  # a file gets it all
        for words in (["show", "evil"], ["show", "--system", "evil"]):
            terminal = Terminal(words, self.environment)
            terminal.wait_for(r"\\x1b\[2Jgone\\u009b2J")
            self.assertEqual(terminal.exit_code(), 0)
            self.assertNotIn("\x1b", terminal.text)
        self.assertEqual(self.cria("rm", "evil").returncode, 0)

    def test_the_prompt_goes_on_after_a_failed_request(self):
        terminal = Terminal(["run", self.model], self.environment)
        at = terminal.wait_for(r">>> ")
        terminal.send("/set parameter temperature 1e999\r/set parameter num_predict -9\r")
        at = terminal.wait_for(r"num_predict' to", at)
        terminal.send("Hello.\r")
        at = terminal.wait_for(r"error: .*num_predict", at)
        terminal.send("/set parameter num_predict 4\rHello.\r")
        terminal.wait_for(r"\n\r?\n.*>>> ", terminal.wait_for(SENT + r"(?s:.*)" + SENT, at))
        terminal.send("/bye\r")
        self.assertEqual(terminal.exit_code(), 0)

    def test_images_are_attached_for_models_that_see(self):
        def text(value):
            return struct.pack("<Q", len(value)) + value.encode()
        projector = b"GGUF" + struct.pack("<IQQ", 3, 1, 2)
        projector += text("general.architecture") + struct.pack("<I", 8) + text("clip")
        projector += text("clip.has_vision_encoder") + struct.pack("<IB", 7, 1)
        projector += text("v.weight") + struct.pack("<IQIQ", 1, 32, 0, 0)
        projector += b"\0" * (-len(projector) % 32 + 128)
        folder = Path(self.home)
        (folder / "projector.gguf").write_bytes(projector)
        (folder / "cat.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        made = self.cria("create", "seeing", "-f", "-", stdin=f"FROM {FOLDER / MODEL_FILE}\nFROM {folder / 'projector.gguf'}\n")
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertIn("vision", self.cria("show", "seeing").stdout)
        # There is no engine for images yet: the answer is a clear error, after the image was attached.
        shot = self.cria("run", "seeing", f"What is {folder}/cat.png ?")
        self.assertIn(f"Added image '{folder}/cat.png'", shot.stderr)
        self.assertEqual(shot.returncode, 1)
        self.assertIn("Error: ", shot.stderr)
        self.cria("create", "blind", "-f", "-", stdin=f"FROM {self.model}\nPARAMETER num_predict 4\n")
        blind = self.cria("run", "blind", f"What is {folder}/cat.png ?")
        self.assertEqual((blind.returncode, "Added" in blind.stderr), (0, False), blind.stderr)
        self.assertEqual(self.cria("rm", "seeing", "blind").returncode, 0)

    def test_a_line_is_edited_in_an_editor(self):
        editor = Path(self.home) / "editor"
        editor.write_text("#!/bin/sh\nsed -i 's/old/new/' \"$1\"\n")
        editor.chmod(0o755)
        terminal = Terminal(["run", self.model], {**self.environment, "OLLAMA_EDITOR": str(editor)})
        at = terminal.wait_for(r">>> ")
        terminal.send("/old\x07")
        at = terminal.wait_for(r"/new", at)
        terminal.send("\x1b[1~\x1b[4~est\r")
        terminal.wait_for(r"Unknown command '/newest'", at)
        terminal.send("/bye\r")
        self.assertEqual(terminal.exit_code(), 0)

    def test_wrong_use(self):
        for words, message in ((["nope"], 'unknown command "nope" for "ollama"'),
                               (["cp", "a"], "accepts 2 arg(s), received 1"),
                               (["rm"], "requires at least 1 arg(s), only received 0"),
                               (["list", "--zz"], "unknown flag: --zz"),
                               (["stop", "nothing"], 'couldn\'t find model "nothing" to stop')):
            answer = self.cria(*words)
            self.assertEqual((answer.returncode, answer.stderr), (1, f"Error: {message}\n"))
        self.assertEqual(self.cria("pull", "x").returncode, 1)

    def test_prompt(self):
        terminal = Terminal(["run", self.model], self.environment)
        at = terminal.wait_for(r">>> ")
        terminal.send("/set parameter num_predict 8\r")
        at = terminal.wait_for(r"Set parameter 'num_predict' to '8'", at)
        terminal.send("Say hello.\r")
        at = terminal.wait_for(r"\n\r?\n.*>>> ", terminal.wait_for(SENT, at))
        terminal.send('"""one\r')
        at = terminal.wait_for(r"\.\.\. ", at)
        terminal.send('two"""\r')
        at = terminal.wait_for(r"\n\r?\n.*>>> ", at)
        terminal.send("/set parameter num_predict 2000\r")
        at = terminal.wait_for(r"to '2000'", at)
        terminal.send("Count from one to one thousand in words.\r")
        at = terminal.wait_for(SENT + r"(?s:.*)[a-z]{3}", at)
        terminal.send("\x03")
        at = terminal.wait_for(r">>> ", at)
        terminal.send("\x03")
        at = terminal.wait_for(r"Use Ctrl \+ d or /bye to exit\.", at)
        # The first Ctrl-C stopped the answer: it did not reach the prompt.
        self.assertEqual(terminal.text.count("Use Ctrl + d"), 1)
        terminal.send("/nope\r")
        at = terminal.wait_for(r"Unknown command '/nope'\. Type /\? for help", at)
        terminal.send("/bye\r")
        self.assertEqual(terminal.exit_code(), 0)
        history = Path(self.home) / ".ollama/history"
        self.assertEqual(stat.S_IMODE(history.stat().st_mode), 0o600)
        self.assertIn("Say hello.\n", history.read_text())

    def test_lines_typed_ahead_are_sent_one_by_one(self):
        terminal = Terminal(["run", self.model], self.environment)
        at = terminal.wait_for(r">>> ")
        terminal.send("/set parameter num_predict 30\rSay hello.\r")
        at = terminal.wait_for(r"to '30'", at)
        time.sleep(0.2)  # the model answers
        terminal.send("/first\r/second\r")
        at = terminal.wait_for(r"Unknown command '/first'", at, seconds=30)
        terminal.wait_for(r"Unknown command '/second'", at, seconds=30)
        terminal.send("/bye\r")
        self.assertEqual(terminal.exit_code(), 0)

    def test_end_of_file_leaves_the_prompt(self):
        terminal = Terminal(["run", self.model], self.environment)
        terminal.wait_for(r">>> ")
        terminal.send("\x04")
        self.assertEqual(terminal.exit_code(), 0)


class WithoutServer(unittest.TestCase):
    def test_other_commands_tell_how_to_start_one(self):
        environment = {"HOME": "/nonexistent", "OLLAMA_HOST": f"127.0.0.1:{free_port()}"}
        answer = subprocess.run([CRIA, "list"], env=environment, text=True, capture_output=True,
                                timeout=PATIENCE)
        self.assertEqual((answer.returncode, answer.stderr), (
            1, "Error: could not connect to ollama server, run 'ollama serve' to start it\n"))

    def test_help_of_help_is_the_help(self):
        def text(*words):
            return subprocess.run([CRIA, *words], text=True, capture_output=True).stdout
        self.assertEqual({text("help"), text("help", "--help"), text("help", "help"), text("--help")}, {text()})

    def test_help_of_bench_names_every_flag_that_it_takes(self):
        text = subprocess.run([CRIA, "bench", "--help"], text=True, capture_output=True).stdout
        usage = subprocess.run([CRIA, "bench", "--nope"], text=True, capture_output=True).stderr
        flags = set(re.findall(r"\[?(--[a-z]+)", usage.split("usage:", 1)[1]))
        self.assertIn("--machine", flags)
        for flag in flags:
            self.assertIn(f"      {flag} ", text)

    def test_help_names_flags_and_variables(self):
        text = subprocess.run([CRIA, "run", "--help"], text=True, capture_output=True).stdout
        for word in ("--think[=string]", "OLLAMA_NOHISTORY", "cria run ./model.gguf"):
            self.assertIn(word, text)


if __name__ == "__main__":
    CRIA = os.path.abspath(sys.argv.pop(1))
    if not (FOLDER / MODEL_FILE).exists():
        print(f"SKIPPED: {FOLDER / MODEL_FILE} is missing: see tools/fetch_models.py")
        sys.exit(77)
    unittest.main()
