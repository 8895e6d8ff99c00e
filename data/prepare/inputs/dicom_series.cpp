#include "data/prepare/inputs/dicom_series.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "core/error.h"
#include "core/files.h"
#include "core/text.h"
#include "data/formats/stored_image.h"
#include "data/prepare/inputs/dicom_geometry.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

/// All files, folders below included, in the order of their paths; hidden ones are left out.
std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (auto entry = fs::recursive_directory_iterator(folder); entry != fs::end(entry); ++entry) {
    if (entry->path().filename().string().starts_with('.')) {
      entry.disable_recursion_pending();
    } else if (entry->is_regular_file()) {
      files.push_back(entry->path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// Echo times as text, so that NaN equals NaN; hundredths of a millisecond.
std::string echo_key(const DicomFrame& frame) {
  return std::isfinite(frame.echo_time_ms) ? fmt::format("{:09.2f}", frame.echo_time_ms) : "";
}

using SeriesKey = std::tuple<std::string, std::string, std::string>;  // uid, echo, part

/// Series number first, as a number where it is one.
bool comes_before(const DicomSeries& a, const DicomSeries& b) {
  const auto order = [](const DicomSeries& series) {
    const auto number = core::parse_integer(series.slices.front().series_number);
    return std::tuple(number.value_or(1LL << 40), series.slices.front().series_number, series.uid,
                      echo_key(series.slices.front()), series.part);
  };
  return order(a) < order(b);
}

void name_series(std::vector<DicomSeries>& all) {
  for (DicomSeries& series : all) {
    std::set<std::string> echoes;
    for (const DicomSeries& other : all) {
      if (other.uid == series.uid) echoes.insert(echo_key(other.slices.front()));
    }
    const std::string& number = series.slices.front().series_number;
    series.id = number.empty() ? series.uid : number;
    if (echoes.size() > 1) {
      const auto place =
          std::distance(echoes.begin(), echoes.find(echo_key(series.slices.front())));
      series.id += fmt::format("e{}", place + 1);
    }
    series.id += series.part;
  }
}

void stack(DicomSeries& series) {
  try {
    series.geometry = stack_slices(series.slices, series.warnings);
  } catch (const core::InputError& error) {
    series.problem = error.what();
    if (!error.hint().empty()) series.problem += " (" + error.hint() + ")";
    const DicomFrame& first = series.slices.front();
    series.geometry.shape = {first.columns, first.rows,
                             static_cast<std::int64_t>(series.slices.size())};
  }
}

std::string list_of(const std::vector<const DicomSeries*>& series) {
  std::vector<std::string> lines;
  for (const DicomSeries* one : series) lines.push_back(one->summary());
  return core::join(lines, "; ");
}

std::vector<const DicomSeries*> pointers(const std::vector<DicomSeries>& series) {
  std::vector<const DicomSeries*> all;
  for (const DicomSeries& one : series) all.push_back(&one);
  return all;
}

std::vector<const DicomSeries*> matching(const DicomFolder& folder, const std::string& wanted) {
  std::vector<const DicomSeries*> found;
  const auto keep = [&](auto&& fits) {
    if (!found.empty()) return;
    for (const DicomSeries& series : folder.series) {
      if (fits(series)) found.push_back(&series);
    }
  };
  if (wanted.empty()) {
    keep([](const DicomSeries& series) {
      return series.problem.empty() && series.modality == "MR";
    });
    return found;
  }
  keep([&](const DicomSeries& series) { return series.id == wanted || series.uid == wanted; });
  keep([&](const DicomSeries& series) {
    const std::string& number = series.slices.front().series_number;
    const auto a = core::parse_integer(number);
    const auto b = core::parse_integer(wanted);
    return a && b && *a == *b;
  });
  keep([&](const DicomSeries& series) {
    return core::lower(series.description).find(core::lower(wanted)) != std::string::npos;
  });
  return found;
}

}  // namespace

std::string DicomSeries::matrix() const {
  const Shape& shape = geometry.shape;
  return fmt::format("{}x{}x{}", shape[0], shape[1], shape[2]);
}

std::string DicomSeries::spacing() const {
  if (!problem.empty()) return {};
  const Eigen::Vector3d lengths = geometry.spacing_mm();
  return fmt::format("{:.3f}x{:.3f}x{:.3f}", lengths[0], lengths[1], lengths[2]);
}

std::string DicomSeries::summary() const {
  std::string text = fmt::format("{} '{}'", id, description);
  if (!part.empty()) text += " " + part;
  text += fmt::format(" {} {}", modality, matrix());
  if (!problem.empty()) return text + ", no volume";
  return text + ", " + spacing() + " mm";
}

bool holds_dicom(const fs::path& folder) {
  if (!fs::is_directory(folder)) return false;
  for (auto entry = fs::recursive_directory_iterator(folder); entry != fs::end(entry); ++entry) {
    const bool hidden = entry->path().filename().string().starts_with('.');
    if (hidden) entry.disable_recursion_pending();
    if (!hidden && entry->is_regular_file() && looks_like_dicom(entry->path())) return true;
  }
  return false;
}

DicomFolder list_dicom(const fs::path& path) {
  core::require_exists(path, "the DICOM folder");
  DicomFolder folder;
  folder.path = path;
  std::map<SeriesKey, DicomSeries> found;
  std::map<std::string, std::int64_t> images;
  for (const fs::path& file : files_in(path)) {
    DicomHeader header = read_dicom_header(file);
    if (header.kind == DicomKind::kDamaged) {
      folder.damaged.push_back(fmt::format("{}: {}", file.string(), header.problem));
    }
    if (header.kind == DicomKind::kOther || header.kind == DicomKind::kNoImage) ++folder.others;
    folder.has_name = folder.has_name || header.folder_has_name;
    for (DicomFrame& frame : header.frames) {
      ++images[frame.series_uid];
      DicomSeries& series = found[{frame.series_uid, echo_key(frame), frame.part}];
      series.slices.push_back(std::move(frame));
    }
  }
  if (found.empty()) {
    throw core::InputError(folder.damaged.empty()
                               ? fmt::format("{} holds no DICOM image", path.string())
                               : "damaged or cut off: " + folder.damaged.front(),
                           "give a folder with the files of a DICOM series, or export it again");
  }
  for (auto& [key, series] : found) {
    const DicomFrame& first = series.slices.front();
    series.uid = first.series_uid;
    series.description = first.description;
    series.modality = first.modality;
    series.part = first.part;
    series.echo_time_ms = first.echo_time_ms;
    if (first.expected > images[series.uid]) {
      series.warnings.push_back(fmt::format(
          "the header names {} images in the acquisition, {} are here: slices may be missing at "
          "an end",
          first.expected, images[series.uid]));
    }
    folder.series.push_back(std::move(series));
  }
  std::sort(folder.series.begin(), folder.series.end(), comes_before);
  name_series(folder.series);
  for (DicomSeries& series : folder.series) stack(series);
  return folder;
}

std::set<std::string> dicom_studies(const fs::path& folder) {
  std::set<std::string> studies;
  for (const fs::path& file : files_in(folder)) {
    for (const DicomFrame& frame : read_dicom_header(file).frames) studies.insert(frame.study_uid);
  }
  studies.erase("");
  return studies;
}

const DicomSeries& choose_series(const DicomFolder& folder, const std::string& wanted) {
  const std::string name = folder.path.string();
  if (!folder.damaged.empty()) {
    throw core::InputError(
        fmt::format("{} has {} damaged or cut off DICOM file{}: {}", name, folder.damaged.size(),
                    folder.damaged.size() == 1 ? "" : "s", folder.damaged.front()),
        "export it again, or move it away if it is of another series");
  }
  const std::vector<const DicomSeries*> found = matching(folder, wanted);
  const std::string hint =
      "choose with --series (or a column t2w_series, t1w_series in a table of scans): an id, a "
      "series UID or a part of one description; epvs prepare --list-series shows all";
  if (found.empty() && !wanted.empty()) {
    throw core::InputError(fmt::format("{} has no series '{}'; it has: {}", name, wanted,
                                       list_of(pointers(folder.series))),
                           hint);
  }
  if (found.empty() && folder.series.size() > 1) {
    throw core::InputError(fmt::format("{} has no series that is a volume of MR slices; it has: {}",
                                       name, list_of(pointers(folder.series))),
                           hint);
  }
  if (found.size() > 1) {
    throw core::InputError(
        fmt::format("{} has {} series to choose from{}: {}", name, found.size(),
                    wanted.empty() ? "" : fmt::format(" that fit '{}'", wanted), list_of(found)),
        hint);
  }
  const DicomSeries& series = found.empty() ? folder.series.front() : *found.front();
  if (!series.problem.empty()) {
    throw core::InputError(
        fmt::format("series {} of {} is no volume: {}", series.id, name, series.problem));
  }
  if (found.empty()) {
    throw core::InputError(fmt::format("the only series of {} is of modality '{}'; MR was expected",
                                       name, series.modality),
                           hint);
  }
  return series;
}

Scan read_dicom(const DicomSeries& series) {
  Scan scan;
  scan.header.geometry = series.geometry;
  scan.header.format = "dicom";
  scan.header.warnings = series.warnings;
  scan.header.concerns = series.warnings;
  check_affine(series.slices.front().file, scan.header);
  scan.image = Volume<float>(series.geometry);
  const Shape& shape = series.geometry.shape;
  const auto plane = static_cast<std::size_t>(shape[0] * shape[1]);
  fs::path open;
  DicomPixels pixels;
  // Files with several frames are decoded once: their slices are taken together.
  std::vector<std::size_t> order(series.slices.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return series.slices[a].file < series.slices[b].file;
  });
  for (const std::size_t z : order) {
    const DicomFrame& slice = series.slices[z];
    if (slice.file != open) {
      pixels = read_dicom_pixels(slice.file, shape[1], shape[0], slice.frames_in_file);
      open = slice.file;
      scan.header.stored_type = pixels.type;
    }
    const std::size_t from = static_cast<std::size_t>(slice.frame) * plane;
    for (std::size_t i = 0; i < plane; ++i) {
      scan.image.voxels[z * plane + i] =
          static_cast<float>(slice.slope * pixels.stored[from + i] + slice.intercept);
    }
  }
  return scan;
}

}  // namespace epvs::data
