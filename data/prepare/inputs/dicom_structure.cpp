#include "data/prepare/inputs/dicom_structure.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <stdexcept>
#include <string_view>

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

constexpr std::uint32_t kUndefined = 0xffffffffU;
constexpr std::uint32_t kItem = 0xfffee000U;
constexpr std::uint32_t kItemEnd = 0xfffee00dU;
constexpr std::uint32_t kSequenceEnd = 0xfffee0ddU;
constexpr std::uint32_t kPixelData = 0x7fe00010U;
constexpr std::uint32_t kBitsAllocated = 0x00280100U;
constexpr std::uint32_t kBitsStored = 0x00280101U;
constexpr std::uint32_t kHighBit = 0x00280102U;
constexpr std::uint32_t kPixelRepresentation = 0x00280103U;
constexpr std::uint32_t kGroupLength = 0x00020000U;
constexpr std::uint32_t kMediaClass = 0x00020002U;
constexpr std::uint32_t kTransferSyntax = 0x00020010U;
constexpr int kDeepest = 32;

/// A reason why the walk ends; caught in this file.
struct Broken : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Element {
  std::uint32_t tag = 0;  ///< group in the upper half
  std::string vr;         ///< empty: implicit
  std::uint32_t length = 0;
};

std::string tag_name(std::uint32_t tag) {
  return fmt::format("({:04x},{:04x})", tag >> 16U, tag & 0xffffU);
}

class Walker {
 public:
  explicit Walker(const fs::path& path) : file_(path, std::ios::binary) {
    std::error_code error;
    size_ = static_cast<std::int64_t>(fs::file_size(path, error));
    if (error) size_ = 0;
  }

  DicomStructure walk() {
    DicomStructure result;
    if (!find_start()) return result;
    result.is_dicom = true;
    try {
      const std::string syntax = read_meta(result);
      explicit_ = syntax != "1.2.840.10008.1.2";
      if (syntax == "1.2.840.10008.1.2.2" || syntax == "1.2.840.10008.1.2.1.99") {
        throw Broken(
            fmt::format("its transfer syntax ({}) is big endian or deflated; write it "
                        "anew, for example with dcmconv +te",
                        syntax));
      }
      walk_top(result);
    } catch (const Broken& broken) {
      result.problem = broken.what();
    }
    return result;
  }

  /// Moves to the first element; false: no DICOM. Old files have no preamble.
  bool find_start() {
    std::array<char, 132> start{};
    file_.read(start.data(), static_cast<std::streamsize>(start.size()));
    file_.clear();
    if (std::string_view(start.data() + 128, 4) == "DICM") {
      at_ = 132;
      return true;
    }
    const bool group = (start[0] == 2 || start[0] == 8) && start[1] == 0 && start[3] == 0;
    // A bare file must begin with an explicit element whose representation is two letters.
    const auto letter = [](char c) { return c >= 'A' && c <= 'Z'; };
    return group && letter(start[4]) && letter(start[5]);
  }

 private:
  /// The group 0002, always explicit; returns the transfer syntax.
  std::string read_meta(DicomStructure& result) {
    std::string syntax = "1.2.840.10008.1.2.1";
    explicit_ = true;
    while (size_ - at_ >= 8) {
      const std::int64_t before = at_;
      if ((peek() >> 16U) != 0x0002U) {
        at_ = before;
        break;
      }
      const Element element = read_element();
      require(element, element.length);
      if (element.tag == kGroupLength && element.length == 4) {
        const std::int64_t start = at_;
        const std::int64_t rest = read_number(4);
        if (rest > size_ - at_) throw Broken("its group 0002 is said to be longer than the file");
        at_ = start;
      }
      if (element.tag == kTransferSyntax) syntax = text(element.length);
      if (element.tag == kMediaClass) result.sop_class = text(element.length);
      at_ += element.length;
    }
    if (at_ >= size_) throw Broken(fmt::format("the file ends after {} bytes", size_));
    return syntax;
  }

  void walk_top(DicomStructure& result) {
    std::uint32_t last = 0;
    while (at_ < size_) {
      const Element element = read_element();
      if (element.tag <= last) {
        throw Broken(fmt::format("element {} follows {}: its elements are out of order",
                                 tag_name(element.tag), tag_name(last)));
      }
      last = element.tag;
      if (element.tag != kPixelData) {
        read_pixel_format(element, result);
        skip(element, 0);
        continue;
      }
      result.has_pixels = true;
      result.compressed = element.length == kUndefined;
      if (result.compressed) {
        skip_items(element, 0, true);
      } else {
        require(element, element.length);
        result.pixel_bytes = element.length;
        result.pixel_offset = at_;
      }
      return;
    }
  }

  /// Takes the facts on the pixels out of their elements, without moving on.
  void read_pixel_format(const Element& element, DicomStructure& result) {
    if (element.tag < kBitsAllocated || element.tag > kPixelRepresentation) return;
    if (element.length != 2) {
      throw Broken(fmt::format("element {} has {} bytes, 2 were expected", tag_name(element.tag),
                               element.length));
    }
    const std::int64_t start = at_;
    const auto number = static_cast<int>(read_number(2));
    at_ = start;
    if (element.tag == kBitsAllocated) result.bits_allocated = number;
    if (element.tag == kBitsStored) result.bits_stored = number;
    if (element.tag == kHighBit) result.high_bit = number;
    if (element.tag == kPixelRepresentation) result.has_sign = number == 1;
  }

  std::uint32_t peek() {
    const std::int64_t before = at_;
    const std::uint32_t tag = read_tag();
    at_ = before;
    return tag;
  }

  std::uint32_t read_number(int bytes) {
    if (size_ - at_ < bytes) {
      throw Broken(fmt::format("the file ends after {} bytes, within an element", size_));
    }
    std::array<char, 4> raw{};
    file_.seekg(at_);
    file_.read(raw.data(), bytes);
    at_ += bytes;
    std::uint32_t number = 0;
    for (int i = bytes - 1; i >= 0; --i) {
      number = number << 8U | static_cast<unsigned char>(raw[static_cast<std::size_t>(i)]);
    }
    return number;
  }

  std::uint32_t read_tag() {
    const std::uint32_t group = read_number(2);
    return group << 16U | read_number(2);
  }

  std::string text(std::uint32_t length) {
    std::string value(std::min<std::uint32_t>(length, 64), '\0');
    file_.seekg(at_);
    file_.read(value.data(), static_cast<std::streamsize>(value.size()));
    return value.substr(0, value.find_first_of(std::string_view("\0 ", 2)));
  }

  Element read_element() {
    Element element;
    element.tag = read_tag();
    if (element.tag == kItem || element.tag == kItemEnd || element.tag == kSequenceEnd ||
        !explicit_) {
      element.length = read_number(4);
      return element;
    }
    const std::uint32_t letters = read_number(2);
    element.vr = {static_cast<char>(letters & 0xffU), static_cast<char>(letters >> 8U)};
    static constexpr std::string_view kKnown =
        "AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN "
        "UR US UT UV ";
    static constexpr std::string_view kLong = "OB OD OF OL OV OW SQ SV UC UN UR UT UV ";
    if (kKnown.find(element.vr + " ") == std::string_view::npos) {
      throw Broken(
          fmt::format("element {} has no known value representation", tag_name(element.tag)));
    }
    if (kLong.find(element.vr + " ") == std::string_view::npos) {
      element.length = read_number(2);
      return element;
    }
    read_number(2);
    element.length = read_number(4);
    return element;
  }

  void require(const Element& element, std::int64_t bytes) const {
    if (bytes <= size_ - at_) return;
    throw Broken(fmt::format("element {} has {} bytes, {} are there", tag_name(element.tag), bytes,
                             size_ - at_));
  }

  void skip(const Element& element, int depth) {
    if (element.length == kUndefined) {
      // Of an unknown representation with undefined length, the content is implicit (PS3.5 6.2.2).
      const bool before = explicit_;
      if (element.vr == "UN") explicit_ = false;
      skip_items(element, depth, false);
      explicit_ = before;
      return;
    }
    require(element, element.length);
    at_ += element.length;
  }

  void skip_items(const Element& sequence, int depth, bool fragments) {
    if (depth > kDeepest) throw Broken("its sequences are nested too deeply");
    for (;;) {
      const Element item = read_element();
      if (item.tag == kSequenceEnd) return;
      if (item.tag != kItem) {
        throw Broken(fmt::format("{} stands in {} where an item was expected", tag_name(item.tag),
                                 tag_name(sequence.tag)));
      }
      if (item.length != kUndefined) {
        require(item, item.length);
        at_ += item.length;
        continue;
      }
      if (fragments) throw Broken("a fragment of its pixels has no length");
      for (Element inner = read_element(); inner.tag != kItemEnd; inner = read_element()) {
        skip(inner, depth + 1);
      }
    }
  }

  std::ifstream file_;
  std::int64_t size_ = 0;
  std::int64_t at_ = 0;
  bool explicit_ = true;
};

}  // namespace

DicomStructure read_dicom_structure(const fs::path& path) {
  return Walker(path).walk();
}

bool has_dicom_start(const fs::path& path) {
  return Walker(path).find_start();
}

}  // namespace epvs::data
