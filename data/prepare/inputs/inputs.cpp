#include "data/prepare/inputs/inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <string_view>
#include <tuple>

#include "core/error.h"
#include "core/files.h"
#include "core/text.h"
#include "data/prepare/inputs/inputs_sources.h"

namespace epvs::data {

namespace fs = std::filesystem;

std::vector<fs::path> folders_in(const fs::path& folder, const std::string& prefix) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_directory() && entry.path().filename().string().starts_with(prefix)) {
      found.push_back(entry.path());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

void refuse_dicom(const fs::path& folder) {
  for (auto entry = fs::recursive_directory_iterator(folder); entry != fs::end(entry); ++entry) {
    if (!entry->is_regular_file()) continue;
    std::ifstream file(entry->path(), std::ios::binary);
    std::array<char, 132> start{};
    file.read(start.data(), start.size());
    if (!file || std::string_view(start.data() + 128, 4) != "DICM") continue;
    throw core::InputError(
        fmt::format("{} holds DICOM files ({})", folder.string(), entry->path().string()),
        "convert them to NIfTI first, for example: dcm2niix -z y -f %i_%p -o OUT " +
            folder.string());
  }
}

void require_participants(const InputFilter& filter, const std::vector<std::string>& there,
                          const fs::path& source) {
  for (const std::string& label : filter.participants) {
    if (std::any_of(there.begin(), there.end(), [&](const std::string& id) {
          return without(id, "sub-") == without(label, "sub-");
        })) {
      continue;
    }
    throw core::UsageError(fmt::format("participant '{}' is not in {}{}", label, source.string(),
                                       core::did_you_mean(label, there)));
  }
}

std::string ScanInput::key() const {
  return session_id.empty() ? participant_id : participant_id + "_" + session_id;
}

std::vector<ScanInput> find_scans(const fs::path& source, const InputFilter& filter,
                                  std::vector<std::string>* skipped) {
  core::require_exists(source, "the folder or table of scans");
  std::vector<ScanInput> inputs;
  if (fs::is_directory(source)) {
    if (!is_bids(source)) refuse_dicom(source);
    inputs = read_bids(source, filter, skipped);
  } else {
    inputs = read_scan_table(source, filter);
  }
  if (inputs.empty()) {
    throw core::InputError(
        fmt::format("{} has no scan to prepare", source.string()),
        "BIDS: sub-*/[ses-*/]anat/*_T2w.nii.gz (or PDw); a table: columns participant_id and t2w; "
        "see also --participant-label, --session-label, --run, --suffix");
  }
  std::sort(inputs.begin(), inputs.end(), [](const ScanInput& a, const ScanInput& b) {
    return std::tie(a.participant_id, a.session_id) < std::tie(b.participant_id, b.session_id);
  });
  for (std::size_t i = 1; i < inputs.size(); ++i) {
    if (inputs[i].key() == inputs[i - 1].key()) {
      throw core::InputError(fmt::format("{} is there twice: {} and {}", inputs[i].key(),
                                         inputs[i - 1].scan.string(), inputs[i].scan.string()),
                             "give each scan of a participant its own session_id");
    }
  }
  for (const ScanInput& input : inputs) {
    if (input.key().find('/') != std::string::npos) {
      throw core::InputError(fmt::format("participant_id '{}' has a slash", input.key()),
                             "it names files: use letters, digits, - and _");
    }
  }
  return inputs;
}

const fs::path& required_t1w(const ScanInput& input) {
  if (!input.t1w.empty()) return input.t1w;
  throw core::InputError(
      input.t1w_problem.empty()
          ? fmt::format("{} has no T1w scan, but its labels are in T1w space", input.key())
          : input.t1w_problem,
      "add the T1w scan or choose one (--run, or a table of scans), or give labels in the space of the T2w scan");
}

namespace {

/// Replaces the placeholders; with no input, only checks them.
std::string expand(const std::string& pattern, const ScanInput* input) {
  const std::vector<std::string> known = {"participant_id", "participant_label", "session_id",
                                          "session_label", "scan_folder"};
  std::string text;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '{') {
      text += pattern[i];
      continue;
    }
    const std::size_t end = pattern.find('}', i);
    const std::string name =
        end == std::string::npos ? pattern.substr(i + 1) : pattern.substr(i + 1, end - i - 1);
    if (end == std::string::npos || std::find(known.begin(), known.end(), name) == known.end()) {
      throw core::UsageError(fmt::format("--labels '{}': unknown placeholder '{{{}}}'{}", pattern,
                                         name, core::did_you_mean(name, known)));
    }
    i = end;
    if (input == nullptr) continue;
    if (name.starts_with("session") && input->session_id.empty()) {
      throw core::UsageError(fmt::format("--labels '{}' names a session, but {} has none", pattern,
                                         input->participant_id));
    }
    if (name == "participant_id") text += input->participant_id;
    if (name == "participant_label") text += without(input->participant_id, "sub-");
    if (name == "session_id") text += input->session_id;
    if (name == "session_label") text += without(input->session_id, "ses-");
    if (name == "scan_folder") text += input->scan.parent_path().string();
  }
  return text;
}

}  // namespace

void check_pattern(const std::string& pattern) {
  expand(pattern, nullptr);
}

fs::path label_file(const ScanInput& input, const std::string& pattern) {
  return input.labels.empty() ? labels_of(input, pattern) : input.labels;
}

fs::path labels_of(const ScanInput& input, const std::string& pattern) {
  const fs::path path = expand(pattern, &input);
  core::require_exists(path, fmt::format("the label map of {}", input.key()));
  return path;
}

}  // namespace epvs::data
