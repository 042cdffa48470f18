#include "cli/terminal/line_editor.h"
#include "cli/terminal/progress.h"
#include "cli/terminal/width.h"
#include "cli/terminal/wrap.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace cria::cli {

TEST_CASE("width counts columns, not bytes") {
  CHECK(display_width("abc") == 3);
  CHECK(display_width("日本") == 4);
  CHECK(display_width("e\xcc\x81") == 1);
  CHECK(display_width("\xff") == 1);
  CHECK(display_width("") == 0);
}

TEST_CASE("a word that reaches the margin moves to the next line") {
  Wrap wrap(20);  // margin at column 15
  CHECK(wrap.add("one two three ") == "one two three ");
  CHECK(wrap.add("fo") == "f\x1b[1D\x1b[K\nfo");
  CHECK(wrap.add("ur") == "ur");
}

TEST_CASE("a word wider than the line is not moved") {
  Wrap wrap(20);
  CHECK(wrap.add("abcdefghijklmnopqrstuvwxyz") == "abcdefghijklmnopqrstuvwxyz");
}

TEST_CASE("a character that is cut between pieces waits for its rest") {
  Wrap wrap(40);
  CHECK(wrap.add("\xe6\x97").empty());
  CHECK(wrap.add("\xa5x") == "日x");
}

TEST_CASE("without a terminal text passes unchanged") {
  Wrap wrap(0);
  const std::string text(300, 'x');
  CHECK(wrap.add(text + "\xe6") == text + "\xe6");
}

TEST_CASE("a bar shows share, amount, rate and time left, and fits its columns") {
  const std::string bar = format_bar("copying", 50'000'000, 100'000'000, 5, 80);
  CHECK(bar.starts_with("copying:  50% ▕"));
  CHECK(bar.ends_with("▏ 50 MB/100 MB   10 MB/s   5s"));
  CHECK(display_width(bar) <= 80);
  CHECK(display_width(format_bar("copying", 1, 2, 1, 10)) <= 10);
}

TEST_CASE("editing keys move by characters and words") {
  LineBuffer line;
  line.insert("eins zwö drei");
  line.word_left();
  CHECK(line.cursor == line.text.size() - 4);
  line.left();
  line.erase_before();
  CHECK(line.text == "eins zw drei");
  line.word_left();
  line.erase_word();
  CHECK(line.text == "zw drei");
  line.right();
  line.erase_to_end();
  CHECK(line.text == "z");
  line.erase_to_start();
  line.erase_before();
  line.erase_under();
  CHECK(line.text.empty());
}

TEST_CASE("history keeps the last hundred entries in a private file") {
  const auto folder =
      std::filesystem::temp_directory_path() / ("cria_history_" + std::to_string(getpid()));
  const auto file = folder / "history";
  {
    History history(file);
    for (int i = 0; i < 120; ++i) history.add("entry " + std::to_string(i) + "\n");
    history.add("  ");
    history.enable(false);
    history.add("secret");
  }
  struct stat info = {};
  REQUIRE(stat(file.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  const History again(file);
  REQUIRE(again.entries().size() == 100);
  CHECK(again.entries().front() == "entry 20");
  CHECK(again.entries().back() == "entry 119");
  std::filesystem::remove_all(folder);
}

}  // namespace cria::cli
