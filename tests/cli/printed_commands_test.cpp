// The commands that README, docs and --help print: every one is understood by this build, and those
// that need nothing but a cohort, scores and a network run on a tiny phantom, those of eval on tables
// of the names that they use. Commands that this build lacks are left out.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
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
      return word == "..." || word == "|" || word == "RECIPE.toml" || word.front() == '[';
    });
    if (is_form) continue;
    if (std::any_of(words.begin() + 1, words.end(),
                    [](const std::string& word) { return word.rfind("--", 0) == 0; })) {
      commands.push_back(words);
    }
  }
  return commands;
}

/// No error about an option, an argument or the value of one.
void expect_understood(const std::vector<std::string>& words, const tests::CommandResult& result) {
  for (const char* text :
       {"unknown option", "unexpected argument", "violated constraint", "is not one of",
        "is missing:", "unknown parameter", "is given with", "takes one value"}) {
    EXPECT_EQ(result.err.find(text), std::string::npos) << core::join(words, " ") << "\n"
                                                        << result.err;
  }
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
    expect_understood(words, result);
    EXPECT_TRUE(words[0] != "simulate" || result.exit_code == 0) << line << "\n" << result.err;
  }
}

/// A phantom of 8 people on voxels of 4 mm, under the names that printed commands use, and a network.
class PrintedCommandsRun : public testing::Test {
 protected:
  void SetUp() override {
    run({"simulate", "my_bids", "--preset", "demo", "--participants", "8", "--cohort", "p1.h5",
         "--prepare", "spacing_mm=4,4,4", "--prepare", "crop_voxels=24,20,16", "--prepare",
         "dilation_voxels=1", "--prepare", "sigma_voxels=1"});
    for (const char* cohort :
         {"p2.h5", "cohort.h5", "c.h5", "bg.h5", "clinical.h5", "implanted.h5"}) {
      fs::copy_file(folder_ / "p1.h5", folder_ / cohort);
    }
    for (const char* scores : {"visual.tsv", "visual_scores.tsv"}) {
      fs::copy_file(folder_ / "my_bids/phenotype/visual_scores.tsv", folder_ / scores);
    }
    fs::copy_file(recipes() / "mlcn2019/finetune.toml", folder_ / "finetune.toml");
    std::string people = "participant_id\tscanner\n";
    for (int i = 0; i < 2017; ++i) {
      people += "p" + std::to_string(i) + (i % 3 == 0 ? "\tge\n" : "\tphilips\n");
    }
    core::write_text(folder_ / "participants.tsv", people);
    run({"split", "p1.h5", "--out", "s.tsv", "--test", "2", "--validation", "1", "--seed", "1"});
    reset_splits();
    if (!is_in_build("train")) return;
    run(small({"train", recipes() / "demo/gp_unet.toml", "--cohort", "p1.h5", "--scores",
               "visual.tsv", "--target", "rater1", "--splits", "s.tsv", "--out", "runs/gp_unet"}));
    for (const char* copy : {"runs/research", "runs/0", "runs/1", "runs/2"}) {
      fs::copy(folder_ / "runs/gp_unet", folder_ / copy, fs::copy_options::recursive);
    }
  }

  static fs::path recipes() { return tests::source_folder() / "experiments" / "recipes"; }
  void reset_splits() {
    fs::copy_file(folder_ / "s.tsv", folder_ / "splits.tsv", fs::copy_options::overwrite_existing);
  }
  void run(const std::vector<std::string>& words) {
    const auto result = run_epvs(words, folder_.path());
    EXPECT_EQ(result.exit_code, 0) << core::join(words, " ") << "\n" << result.err;
  }
  /// One epoch of a small network: full ones are for real volumes.
  static std::vector<std::string> small(std::vector<std::string> words) {
    std::vector<std::string> more = {"train.epochs=1", "train.batch_size=4"};
    if (std::find(words.begin(), words.end(), "--init") == words.end()) {
      more.emplace_back("network.first_features=4");
    }
    if (words[1].ends_with("media2019/proposed.toml")) {
      more.insert(more.end(), {"network.padding=same", "network.fully_connected=8"});
    }
    for (const std::string& setting : more) words.insert(words.end(), {"--set", setting});
    return words;
  }
  /// Why a command is only parsed; empty when it can run here.
  static std::string obstacle(const std::vector<std::string>& words) {
    const auto has = [&](const std::string& text) {
      return std::any_of(words.begin(), words.end(),
                         [&](const std::string& word) { return word.find(text) == 0; });
    };
    if (words[0] == "simulate") return "another test checks it with --dry-run";
    if (words[0] == "eval") return "another test runs it";
    if (words[0] == "experiment") return "a run takes hours; experiments_test has --dry-run";
    if (has("--template")) return "the template and the atlas of a registration are not shipped";
    if (has("fsl/")) return "needs output of FSL";
    return {};
  }
  /// The command with paths and numbers of this phantom.
  static std::vector<std::string> adapted(std::vector<std::string> words) {
    for (std::string& word : words) {
      if (word.rfind("experiments/", 0) == 0) word = tests::source_folder() / word;
      if (word.ends_with("aseg.mgz")) {
        word = "my_bids/derivatives/labels/{participant_id}/anat/{participant_id}_dseg.nii.gz";
      }
    }
    const bool is_training = words[0] == "train" && words[1].ends_with(".toml");
    if (is_training && words.back() != "sheet.png") words = small(words);
    if (words[0] == "split" && words[1] == "cohort.h5") {
      std::replace(words.begin(), words.end(), std::string("80"), std::string("2"));
      std::replace(words.begin(), words.end(), std::string("32"), std::string("1"));
    }
    if (words[0] == "baseline") words.insert(words.end(), {"--trees", "5", "--words", "4"});
    // The phantom is a box around the basal ganglia.
    if (words[0] == "implant") {
      std::replace(words.begin(), words.end(), std::string("cso"), std::string("bg"));
    }
    if (words[0] == "prepare") {
      words.insert(words.end(), {"--spacing-mm", "4,4,4", "--crop-voxels", "24,20,16",
                                 "--dilation-voxels", "1", "--sigma-voxels", "1"});
    }
    const bool resumes = std::find(words.begin(), words.end(), "--resume") != words.end();
    if (words[0] != "inspect" && !resumes) words.emplace_back("--force");
    return words;
  }

  tests::TemporaryFolder folder_;
};

TEST_F(PrintedCommandsRun, OnATinyPhantom) {
  std::map<std::string, int> ran;
  for (const std::vector<std::string>& words : printed_commands()) {
    if (!obstacle(words).empty()) continue;
    reset_splits();
    run(adapted(words));
    ++ran[words[0]];
  }
  for (const auto& [command, least] : std::map<std::string, int>{{"prepare", 2},
                                                                 {"split", 5},
                                                                 {"train", 7},
                                                                 {"infer", 4},
                                                                 {"inspect", 3},
                                                                 {"implant", 1},
                                                                 {"baseline", 2}}) {
    if (!is_in_build(command)) continue;
    EXPECT_GE(ran[command], least) << command;
  }
}

/// The experiments check their inputs on phantoms, and every command of their steps is understood.
TEST_F(PrintedCommandsRun, ExperimentsOnAPhantom) {
  if (!is_in_build("train") || !is_in_build("experiment")) {
    GTEST_SKIP() << "the steps of experiments need all commands";
  }
  run({"simulate", "heads", "--field-of-view", "head", "--regions", "bg,cso,hippocampi",
       "--participants", "4", "--no-scans", "--cohort", "heads.h5", "--prepare", "spacing_mm=4,4,4",
       "--prepare", "crop_voxels=48,48,40", "--prepare", "dilation_voxels=1", "--prepare",
       "sigma_voxels=1"});
  const std::map<std::string, std::vector<std::string>> inputs = {
      {"demo", {}},
      {"media2019-table-1", {}},
      {"finetune", {}},
      {"media2019-table-3",
       {"cohort=p1.h5", "scores=visual.tsv", "train=5", "validation=1", "test=2", "padding=same"}},
      {"mlcn2019-tables-2-3",
       {"research_cohort=heads.h5", "research_scores=heads/phenotype/visual_scores.tsv",
        "clinical_cohort=heads.h5", "clinical_scores=heads/phenotype/visual_scores.tsv",
        "clinical_participants=heads/participants.tsv"}}};
  std::size_t known = 0;
  for (const std::string& line : core::split(run_epvs({"experiment", "list"}).out, '\n')) {
    known += line.empty() ? 0 : 1;
  }
  EXPECT_EQ(known, inputs.size()) << "an experiment that this test does not check";
  for (const auto& [id, values] : inputs) {
    std::vector<std::string> words = {"experiment", "run", id, "--out", "out", "--dry-run"};
    for (const std::string& value : values) words.insert(words.end(), {"--input", value});
    const auto result = run_epvs(words, folder_.path());
    EXPECT_EQ(result.exit_code, 0) << core::join(words, " ") << "\n" << result.err;
    int steps = 0;
    for (const std::string& line : core::split(result.out, '\n')) {
      const std::size_t at = line.find(" epvs ");
      if (at == std::string::npos) continue;
      std::vector<std::string> step = words_of(line.substr(at + 1));
      step.emplace_back("--dry-run");
      expect_understood(step, run_epvs(step, folder_.path()));
      ++steps;
    }
    EXPECT_GE(steps, 3) << id;
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
  std::string added = "participant_id\tsession_id\tregion\ttrue_count\n";
  std::string implanted = "participant_id\tsession_id\tregion\tgp_unet\n";
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
    for (const int k : {0, 5, 10}) {
      const std::string key = id + "\tses-k" + (k < 10 ? "0" : "") + std::to_string(k) + "\tbg\t";
      added += key + std::to_string(k) + "\n";
      implanted += key + std::to_string(count + k) + "." + std::to_string(random() % 10U) + "\n";
    }
  }
  fs::create_directory(folder / "my_bids");
  fs::create_directories(folder / "implanted/truth");
  const std::vector<std::pair<std::string, std::string>> files = {
      {"visual.tsv", visual},
      {"gp.tsv", method},
      {"gp_unet.tsv", method},
      {"volume.tsv", volume},
      {"splits.tsv", splits},
      {"participants.tsv", participants},
      {"truth_epvs.tsv", truth},
      {"detections.tsv", found},
      {"implanted/truth/truth_counts.tsv", added},
      {"implanted.tsv", implanted},
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
