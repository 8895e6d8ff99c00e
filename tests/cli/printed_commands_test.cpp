// The commands that README, docs and --help print: every one is understood by this build, and those
// of eval run on tables of the names that they use. Commands that this build lacks are left out.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "core/files.h"
#include "core/text.h"
#include "tests/support/test_support.h"

namespace epvs {
namespace {

namespace fs = std::filesystem;
using tests::run_epvs;

/// "epvs eval --out 'a b'  # why" as words without the leading epvs; nothing for other lines.
std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words(1);
  char quote = 0;
  for (const char c : line) {
    if (quote == 0 && c == '#') break;
    if (c == '\'' && (quote == 0 || quote == c)) {
      quote = quote == 0 ? c : 0;
    } else if (quote == 0 && c == ' ') {
      if (!words.back().empty()) words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  if (words.back().empty()) words.pop_back();
  if (words.size() < 2 || words[0] != "epvs") return {};
  words.erase(words.begin());
  return words;
}

bool is_in_build(const std::string& command) {
  const auto names = core::split(EPVS_CLI_COMMANDS, ' ');
  return std::find(names.begin(), names.end(), command) != names.end();
}

/// All printed commands of this build, without synopses ("[options]") and parts of commands ("...").
std::vector<std::vector<std::string>> printed_commands() {
  std::string text = core::read_text(tests::source_folder() / "README.md");
  for (const auto& entry : fs::directory_iterator(tests::source_folder() / "docs")) {
    if (entry.path().extension() == ".md") text += "\n" + core::read_text(entry.path());
  }
  for (const std::string& name : core::split(EPVS_CLI_COMMANDS, ' ')) {
    text += "\n" + run_epvs({name, "--help"}).out;
  }
  for (std::size_t at = text.find("\\\n"); at != std::string::npos; at = text.find("\\\n")) {
    text.replace(at, 2, " ");
  }
  std::vector<std::vector<std::string>> commands;
  for (const std::string& line : core::split(text, '\n')) {
    const auto words = words_of(std::string(core::trim(line)));
    if (words.empty() || !is_in_build(words[0])) continue;
    const bool is_form = std::any_of(words.begin(), words.end(), [](const std::string& word) {
      return word == "..." || word == "|" || word.front() == '[';
    });
    if (is_form) continue;
    if (std::any_of(words.begin() + 1, words.end(),
                    [](const std::string& word) { return word.rfind("--", 0) == 0; })) {
      commands.push_back(words);
    }
  }
  return commands;
}

TEST(PrintedCommands, AreUnderstood) {
  const tests::TemporaryFolder folder;
  const auto commands = printed_commands();
  EXPECT_GE(commands.size(), 10U);
  for (std::vector<std::string> words : commands) {
    const std::string line = core::join(words, " ");
    const std::vector<std::string> writers = {"simulate", "experiment"};
    // What needs no input would really run.
    if (std::find(writers.begin(), writers.end(), words[0]) != writers.end()) {
      if (words[0] == "experiment") continue;  // needs every room; experiments_test reads them
      words.emplace_back("--dry-run");
    }
    const auto result = run_epvs(words, folder.path());
    for (const char* text :
         {"unknown option", "unexpected argument", "violated constraint", "is not one of",
          "is missing:", "unknown parameter", "is given with", "takes one value"}) {
      EXPECT_EQ(result.err.find(text), std::string::npos) << line << "\n" << result.err;
    }
    EXPECT_TRUE(words[0] != "simulate" || result.exit_code == 0) << line << "\n" << result.err;
  }
}

TEST(PrintedCommands, OfEvalRun) {
  const tests::TemporaryFolder folder;
  std::mt19937 random(7);
  std::string visual = "participant_id\tregion\trater1\trater2\trater3\n";
  std::string method = "participant_id\tregion\tfold\trepeat\tgp\n";
  std::string volume = "participant_id\tregion\tvolume\n";
  std::string participants = "participant_id\tage\tsex\tscanner\n";
  std::string splits = "repeat\tfold\tparticipant_id\tsplit\n";
  std::string truth = "participant_id\tregion\tx\ty\tz\n";
  std::string found = "participant_id\tregion\tx\ty\tz\tweight\n";
  for (int i = 0; i < 120; ++i) {
    const std::string id = "sub-" + std::to_string(i);
    const int count = static_cast<int>(random() % 9U) * static_cast<int>(random() % 4U);
    const auto near = [&] { return std::to_string(count + static_cast<int>(random() % 3U)); };
    visual += id + "\tbg\t" + std::to_string(count) + "\t" + near() + "\t" + near() + "\n";
    if (i >= 60) method += id + "\tbg\t0\t0\t" + near() + ".25\n";
    volume += id + "\tbg\t" + std::to_string(100 * count + static_cast<int>(random() % 90U)) + "\n";
    participants += id + "\t" + std::to_string(60 + i % 30) + (i % 2 == 0 ? "\tf" : "\tm") +
                    (i % 3 == 0 ? "\tge\n" : "\tphilips\n");
    splits += "0\t0\t" + id + (i < 40 ? "\ttrain\n" : i < 60 ? "\tvalidation\n" : "\ttest\n");
    truth += id + "\tbg\t1\t2\t3\n";
    found += id + "\tbg\t1\t2\t4\t0.5\n";
  }
  fs::create_directory(folder / "my_bids");
  const std::vector<std::pair<std::string, std::string>> files = {
      {"visual.tsv", visual},
      {"gp.tsv", method},
      {"gp_unet.tsv", method},
      {"volume.tsv", volume},
      {"splits.tsv", splits},
      {"participants.tsv", participants},
      {"truth_epvs.tsv", truth},
      {"detections.tsv", found},
      {"my_bids/participants.tsv", participants}};
  for (const auto& [name, text] : files) core::write_text(folder / name, text);
  int count = 0;
  for (std::vector<std::string> words : printed_commands()) {
    if (words[0] != "eval") continue;
    ++count;
    words.emplace_back("--force");
    const auto result = run_epvs(words, folder.path());
    EXPECT_EQ(result.exit_code, 0) << core::join(words, " ") << "\n" << result.err;
  }
  EXPECT_GE(count, 9);
}

}  // namespace
}  // namespace epvs
