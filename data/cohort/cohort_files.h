// What writer, reader and merge share behind cohort.h.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/files.h"
#include "data/cohort/chunk_codec.h"
#include "data/cohort/cohort.h"
#include "data/cohort/hdf5_support.h"

namespace epvs::data {

/// The three volumes of a row as chunks of the file.
struct EncodedVolumes {
  EncodedChunk roi;
  EncodedChunk hard;
  EncodedChunk soft;
};

struct CohortWriter::State {
  struct Region {
    PreprocessingOptions options;
    std::map<std::string, Handle> datasets;  ///< roi, hard, soft and rows/<column>
    std::set<std::string> keys;
    hsize_t rows = 0;
  };

  explicit State(const std::filesystem::path& path) : file(path) {}
  ~State();
  Region& region(const std::string& name);
  /// Throws InputError for an empty or known key or another crop.
  void check(const Region& target, const std::string& name, const CohortRow& row) const;
  void append(const std::string& name, const CohortRow& row, const EncodedVolumes& volumes);

  core::AtomicFile file;
  bool float16 = false;
  Handle hdf5;
  std::map<std::string, Region> regions;
};

struct CohortReader::State {
  struct Region {
    PreprocessingOptions options;
    std::vector<CohortRow> rows;
    Handle roi;
    Handle hard;
    Handle soft;
    std::size_t float_bytes = 4;  ///< of roi and soft: 4 or 2
  };

  ~State();
  const Region& region(const std::string& name) const;
  EncodedChunk read_chunk(const Region& source, const Handle& dataset, std::size_t row) const;
  std::vector<float> read_floats(const std::string& name, const Handle Region::*dataset,
                                 std::size_t row, const char* what) const;

  std::filesystem::path path;
  Handle hdf5;
  core::Json provenance;
  std::vector<std::string> names;  ///< of the regions, in the file's order
  std::map<std::string, Region> regions;
};

}  // namespace epvs::data
