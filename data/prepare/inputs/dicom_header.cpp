#include "data/prepare/inputs/dicom_header.h"

#include <fmt/format.h>
#include <gdcmDataSet.h>
#include <gdcmReader.h>
#include <gdcmSequenceOfItems.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>

#include "core/text.h"
#include "data/prepare/inputs/dicom_lock.h"
#include "data/prepare/inputs/dicom_structure.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

const gdcm::Tag kPixelData(0x7fe0, 0x0010);

/// The text of an element, without padding; empty when it is not there.
std::string text_of(const gdcm::DataSet& data, const gdcm::Tag& tag) {
  if (!data.FindDataElement(tag)) return {};
  const gdcm::ByteValue* value = data.GetDataElement(tag).GetByteValue();
  if (value == nullptr) return {};
  std::string text(value->GetPointer(), value->GetLength());
  while (!text.empty() && (text.back() == '\0' || text.back() == ' ')) text.pop_back();
  return std::string(core::trim(text));
}

/// The numbers of a decimal string, "0.5\0.5"; empty when one of them is none.
std::vector<double> numbers_of(const gdcm::DataSet& data, const gdcm::Tag& tag) {
  const std::string text = text_of(data, tag);
  std::vector<double> numbers;
  if (text.empty()) return numbers;
  for (const std::string& part : core::split(text, '\\')) {
    std::string_view word = core::trim(part);
    if (word.starts_with('+')) word.remove_prefix(1);
    const auto number = core::parse_number(word);
    if (!number) return {};
    numbers.push_back(*number);
  }
  return numbers;
}

/// A little-endian number of type T (US: uint16, FD: double). Not by gdcm::Attribute, which aborts
/// the program where the representation is another one.
template <class T>
std::optional<double> binary_number(const gdcm::DataSet& data, const gdcm::Tag& tag) {
  if (!data.FindDataElement(tag)) return std::nullopt;
  const gdcm::ByteValue* value = data.GetDataElement(tag).GetByteValue();
  if (value == nullptr || value->GetLength() < sizeof(T)) return std::nullopt;
  T number;
  std::memcpy(&number, value->GetPointer(), sizeof(T));
  return static_cast<double>(number);
}

std::optional<Eigen::Vector3d> vector3(const std::vector<double>& numbers, std::size_t from) {
  if (numbers.size() < from + 3) return std::nullopt;
  return Eigen::Vector3d(numbers[from], numbers[from + 1], numbers[from + 2]);
}

/// Nothing when there is no such sequence.
gdcm::SmartPointer<gdcm::SequenceOfItems> sequence(const gdcm::DataSet& data,
                                                   const gdcm::Tag& tag) {
  if (!data.FindDataElement(tag)) return nullptr;
  return data.GetDataElement(tag).GetValueAsSQ();
}

/// Where the facts of one frame may stand: its own functional groups, those of all frames, and the
/// top of the file.
class Groups {
 public:
  Groups(const gdcm::DataSet& top, const gdcm::DataSet* shared, const gdcm::DataSet* own)
      : top_(top), shared_(shared), own_(own) {}

  /// Calls `use(data set)` with the place that holds the macro, else with the top of the file.
  template <class Use>
  auto in(const gdcm::Tag& macro, Use&& use) const {
    for (const gdcm::DataSet* groups : {own_, shared_}) {
      if (groups == nullptr) continue;
      const auto items = sequence(*groups, macro);
      if (items && items->GetNumberOfItems() > 0) return use(items->GetItem(1).GetNestedDataSet());
    }
    return use(top_);
  }

 private:
  const gdcm::DataSet& top_;
  const gdcm::DataSet* shared_;
  const gdcm::DataSet* own_;
};

void fill_geometry(const Groups& groups, DicomFrame& frame) {
  const auto numbers = [](const gdcm::Tag& tag) {
    return [tag](const gdcm::DataSet& data) { return numbers_of(data, tag); };
  };
  const auto position = groups.in(gdcm::Tag(0x0020, 0x9113), numbers(gdcm::Tag(0x0020, 0x0032)));
  const auto cosines = groups.in(gdcm::Tag(0x0020, 0x9116), numbers(gdcm::Tag(0x0020, 0x0037)));
  const auto spacing = groups.in(gdcm::Tag(0x0028, 0x9110), numbers(gdcm::Tag(0x0028, 0x0030)));
  const auto at = vector3(position, 0);
  const auto along_row = vector3(cosines, 0);
  const auto along_column = vector3(cosines, 3);
  if (!at || !along_row || !along_column || spacing.size() != 2) return;
  frame.has_geometry = true;
  frame.position = *at;
  frame.along_row = *along_row;
  frame.along_column = *along_column;
  frame.spacing = {spacing[1], spacing[0]};  // DICOM: between rows first
}

void fill_values(const Groups& groups, DicomFrame& frame) {
  const gdcm::Tag transformation(0x0028, 0x9145);
  const auto first = [&](const gdcm::Tag& tag, double missing) {
    const auto numbers =
        groups.in(transformation, [&](const gdcm::DataSet& data) { return numbers_of(data, tag); });
    return numbers.empty() ? missing : numbers.front();
  };
  frame.slope = first(gdcm::Tag(0x0028, 0x1053), 1.0);
  frame.intercept = first(gdcm::Tag(0x0028, 0x1052), 0.0);
  frame.echo_time_ms = groups.in(gdcm::Tag(0x0018, 0x9114), [](const gdcm::DataSet& data) {
    if (const auto effective = binary_number<double>(data, gdcm::Tag(0x0018, 0x9082)))
      return *effective;
    const auto classic = numbers_of(data, gdcm::Tag(0x0018, 0x0081));
    return classic.empty() ? std::numeric_limits<double>::quiet_NaN() : classic.front();
  });
}

/// Magnitude unless the image type says something else.
void fill_image_type(const gdcm::DataSet& data, DicomFrame& frame) {
  const std::string complex = core::lower(text_of(data, gdcm::Tag(0x0008, 0x9208)));
  if (complex == "phase" || complex == "real" || complex == "imaginary") frame.part = complex;
  for (const std::string& word : core::split(text_of(data, gdcm::Tag(0x0008, 0x0008)), '\\')) {
    const std::string token = core::lower(core::trim(word));
    if (token == "p" || token == "phase" || token == "phase map") frame.part = "phase";
    if (token == "r" || token == "real") frame.part = "real";
    if (token == "i" || token == "imaginary") frame.part = "imaginary";
    if (token == "mosaic") frame.mosaic = true;
  }
}

DicomFrame common_facts(const fs::path& path, const gdcm::DataSet& data) {
  DicomFrame frame;
  frame.file = path;
  frame.study_uid = text_of(data, gdcm::Tag(0x0020, 0x000d));
  frame.series_uid = text_of(data, gdcm::Tag(0x0020, 0x000e));
  frame.instance_uid = text_of(data, gdcm::Tag(0x0008, 0x0018));
  frame.series_number = text_of(data, gdcm::Tag(0x0020, 0x0011));
  frame.description = text_of(data, gdcm::Tag(0x0008, 0x103e));
  for (char& c : frame.description) {  // may be of any alphabet, and stands in tables
    if (c < ' ' || c > '~') c = '?';
  }
  frame.modality = text_of(data, gdcm::Tag(0x0008, 0x0060));
  frame.photometric = text_of(data, gdcm::Tag(0x0028, 0x0004));
  frame.rows = static_cast<std::int64_t>(
      binary_number<std::uint16_t>(data, gdcm::Tag(0x0028, 0x0010)).value_or(0));
  frame.columns = static_cast<std::int64_t>(
      binary_number<std::uint16_t>(data, gdcm::Tag(0x0028, 0x0011)).value_or(0));
  frame.samples =
      static_cast<int>(binary_number<std::uint16_t>(data, gdcm::Tag(0x0028, 0x0002)).value_or(1));
  const auto expected = core::parse_integer(text_of(data, gdcm::Tag(0x0020, 0x1002)));
  frame.expected = expected.value_or(0);
  fill_image_type(data, frame);
  return frame;
}

/// Whether a folder on the way to the file is called like the person: the participant's id would
/// then carry a name into every output. Names without a given name are taken as pseudonyms.
bool has_name_in_folder(const fs::path& path, const gdcm::DataSet& data) {
  const std::string name = core::lower(text_of(data, gdcm::Tag(0x0010, 0x0010)));
  std::vector<std::string> parts;
  for (const std::string& part : core::split(name, '^')) {
    if (part.size() >= 3) parts.push_back(part);
  }
  if (parts.size() < 2) return false;
  const fs::path parent = path.parent_path();
  return std::any_of(parent.begin(), parent.end(), [&](const fs::path& folder) {
    const std::string text = core::lower(folder.string());
    return std::all_of(parts.begin(), parts.end(), [&](const std::string& part) {
      return text.find(part) != std::string::npos;
    });
  });
}

DicomHeader header_of(const fs::path& path, const gdcm::DataSet& data) {
  DicomHeader header;
  DicomFrame common = common_facts(path, data);
  if (common.rows < 1 || common.columns < 1) {
    header.kind = DicomKind::kNoImage;
    return header;
  }
  header.kind = DicomKind::kImage;
  header.folder_has_name = has_name_in_folder(path, data);
  const auto count = core::parse_integer(text_of(data, gdcm::Tag(0x0028, 0x0008))).value_or(1);
  const auto shared = sequence(data, gdcm::Tag(0x5200, 0x9229));
  const auto own = sequence(data, gdcm::Tag(0x5200, 0x9230));
  const gdcm::DataSet* shared_groups =
      shared && shared->GetNumberOfItems() > 0 ? &shared->GetItem(1).GetNestedDataSet() : nullptr;
  for (long long i = 0; i < std::max(1LL, count); ++i) {
    DicomFrame frame = common;
    frame.frame = static_cast<int>(i);
    frame.frames_in_file = static_cast<int>(std::max(1LL, count));
    if (count > 1) frame.instance_uid += fmt::format("#{:06}", i + 1);
    const bool has_own =
        own && own->GetNumberOfItems() > static_cast<gdcm::SequenceOfItems::SizeType>(i);
    const gdcm::DataSet* own_groups =
        has_own
            ? &own->GetItem(static_cast<gdcm::SequenceOfItems::SizeType>(i + 1)).GetNestedDataSet()
            : nullptr;
    const Groups groups(data, shared_groups, own_groups);
    // Without groups of their own, frames of one file would all lie in the same place.
    if (count == 1 || has_own) fill_geometry(groups, frame);
    fill_values(groups, frame);
    header.frames.push_back(std::move(frame));
  }
  return header;
}

/// MR (classic, enhanced, enhanced colour, legacy converted), CT, secondary capture.
bool is_image_class(const std::string& sop_class) {
  static const std::set<std::string> kImages = {
      "1.2.840.10008.5.1.4.1.1.4",   "1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.3",
      "1.2.840.10008.5.1.4.1.1.4.4", "1.2.840.10008.5.1.4.1.1.2",   "1.2.840.10008.5.1.4.1.1.7"};
  return kImages.contains(sop_class);
}

/// What GDCM's image reader would abort the program for.
std::string values_problem(const gdcm::DataSet& data, const DicomHeader& header) {
  const gdcm::Tag cosines(0x0020, 0x0037);
  if (!text_of(data, cosines).empty() && numbers_of(data, cosines).size() != 6) {
    return "its ImageOrientationPatient is not six numbers";
  }
  const gdcm::Tag slope(0x0028, 0x1053);
  if (!text_of(data, slope).empty() && numbers_of(data, slope).empty()) {
    return "its RescaleSlope is no number";
  }
  for (const DicomFrame& frame : header.frames) {
    if (frame.slope == 0) return "its RescaleSlope is 0";
  }
  return {};
}

/// Why the pixels are too few for the images; empty when they are not.
std::string pixels_problem(const DicomStructure& structure, const gdcm::DataSet& data,
                           const DicomHeader& header) {
  if (!structure.has_pixels) return "it ends before its pixels";
  if (structure.compressed) return {};
  const DicomFrame& first = header.frames.front();
  const auto bits = binary_number<std::uint16_t>(data, gdcm::Tag(0x0028, 0x0100)).value_or(0);
  const std::int64_t needed = first.rows * first.columns * first.samples * first.frames_in_file *
                              static_cast<std::int64_t>(bits) / 8;
  if (structure.pixel_bytes >= needed) return {};
  return fmt::format("its images need {} bytes, {} are there", needed, structure.pixel_bytes);
}

}  // namespace

std::string DicomFrame::name() const {
  return frames_in_file > 1 ? file.filename().string() + " frame " + std::to_string(frame + 1)
                            : file.filename().string();
}

bool looks_like_dicom(const fs::path& path) {
  return has_dicom_start(path);
}

DicomHeader read_dicom_header(const fs::path& path) {
  DicomHeader header;
  const DicomStructure structure = read_dicom_structure(path);
  if (!structure.is_dicom) return header;
  header.kind = DicomKind::kDamaged;
  header.problem = structure.problem;
  if (!header.problem.empty()) return header;
  const GdcmLock lock;
  try {
    gdcm::Reader reader;
    reader.SetFileName(path.c_str());
    if (reader.ReadUpToTag(kPixelData)) {
      const gdcm::DataSet& data = reader.GetFile().GetDataSet();
      header = header_of(path, data);
      if (header.kind == DicomKind::kNoImage && is_image_class(structure.sop_class)) {
        header.problem = "it ends before the size of its image";
      }
      if (header.kind == DicomKind::kImage) {
        header.problem = pixels_problem(structure, data, header);
        if (header.problem.empty()) header.problem = values_problem(data, header);
      }
      if (!header.problem.empty()) {
        header.kind = DicomKind::kDamaged;
        header.frames.clear();
      }
      return header;
    }
  } catch (const std::exception&) {  // of GDCM: says nothing that helps
  }
  header.problem = "its header cannot be read";
  return header;
}

}  // namespace epvs::data
