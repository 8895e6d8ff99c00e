// DICOM files for tests, written by GDCM: a scan as a series of slices, with every fact to spoil.
#pragma once

#include <fmt/format.h>
#include <gdcmAttribute.h>
#include <gdcmWriter.h>

#include <Eigen/Geometry>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "data/formats/volume.h"

namespace epvs::tests {

struct DicomSlice {
  std::string series_uid = "1.2.3.1";
  std::string study_uid = "1.2.3";
  std::string instance_uid;
  std::string series_number = "5";
  std::string description = "T2 TSE";
  std::string modality = "MR";
  std::string image_type = "ORIGINAL\\PRIMARY\\M";
  std::string photometric = "MONOCHROME2";
  std::string patient = "Secret^Somebody";
  std::string echo_time = "90";
  std::string acquisition_images;  ///< (0020,1002)
  std::uint16_t samples = 1;
  std::uint16_t rows = 0;
  std::uint16_t columns = 0;
  bool has_position = true;
  bool extra_cosine = false;                           ///< seven numbers in ImageOrientationPatient
  Eigen::Vector3d position = Eigen::Vector3d::Zero();  ///< LPS
  Eigen::Vector3d along_row = Eigen::Vector3d::UnitX();     ///< LPS
  Eigen::Vector3d along_column = Eigen::Vector3d::UnitY();  ///< LPS
  Eigen::Vector2d spacing = {1, 1};                         ///< between columns, between rows
  double slope = 1;
  std::string slope_text;  ///< in place of the number
  double intercept = 0;
  std::vector<std::uint16_t> pixels;
};

inline void write_dicom(const std::filesystem::path& path, const DicomSlice& slice) {
  gdcm::Writer writer;
  gdcm::File& file = writer.GetFile();
  gdcm::DataSet& data = file.GetDataSet();
  const auto text = [&data](std::uint16_t group, std::uint16_t element, gdcm::VR::VRType type,
                            std::string value) {
    if (value.empty()) return;
    if (value.size() % 2 != 0) value += type == gdcm::VR::UI ? '\0' : ' ';
    gdcm::DataElement entry(gdcm::Tag(group, element));
    entry.SetVR(type);
    entry.SetByteValue(value.data(), static_cast<std::uint32_t>(value.size()));
    data.Replace(entry);
  };
  const auto number = [&data](std::uint16_t group, std::uint16_t element, std::uint16_t value) {
    gdcm::DataElement entry(gdcm::Tag(group, element));
    entry.SetVR(gdcm::VR::US);
    entry.SetByteValue(reinterpret_cast<const char*>(&value), 2);
    data.Replace(entry);
  };
  text(0x0008, 0x0008, gdcm::VR::CS, slice.image_type);
  text(0x0008, 0x0016, gdcm::VR::UI, "1.2.840.10008.5.1.4.1.1.4");
  text(0x0008, 0x0018, gdcm::VR::UI, slice.instance_uid);
  text(0x0008, 0x0060, gdcm::VR::CS, slice.modality);
  text(0x0008, 0x103e, gdcm::VR::LO, slice.description);
  text(0x0010, 0x0010, gdcm::VR::PN, slice.patient);
  text(0x0010, 0x0020, gdcm::VR::LO, "secret-id");
  text(0x0018, 0x0050, gdcm::VR::DS, "1.25");  // never the distance of the slices
  text(0x0018, 0x0081, gdcm::VR::DS, slice.echo_time);
  text(0x0020, 0x000d, gdcm::VR::UI, slice.study_uid);
  text(0x0020, 0x000e, gdcm::VR::UI, slice.series_uid);
  text(0x0020, 0x0011, gdcm::VR::IS, slice.series_number);
  const auto vector = [](const Eigen::Vector3d& v) {
    return fmt::format("{:.10g}\\{:.10g}\\{:.10g}", v[0], v[1], v[2]);
  };
  if (slice.has_position) {
    text(0x0020, 0x0032, gdcm::VR::DS, vector(slice.position));
    text(0x0020, 0x0037, gdcm::VR::DS,
         vector(slice.along_row) + "\\" + vector(slice.along_column) +
             (slice.extra_cosine ? "\\1" : ""));
  }
  text(0x0020, 0x1002, gdcm::VR::IS, slice.acquisition_images);
  number(0x0028, 0x0002, slice.samples);
  text(0x0028, 0x0004, gdcm::VR::CS, slice.photometric);
  number(0x0028, 0x0010, slice.rows);
  number(0x0028, 0x0011, slice.columns);
  text(0x0028, 0x0030, gdcm::VR::DS,
       fmt::format("{:.10g}\\{:.10g}", slice.spacing[1], slice.spacing[0]));
  number(0x0028, 0x0100, 16);
  number(0x0028, 0x0101, 16);
  number(0x0028, 0x0102, 15);
  number(0x0028, 0x0103, 0);
  text(0x0028, 0x1052, gdcm::VR::DS, fmt::format("{:.10g}", slice.intercept));
  text(0x0028, 0x1053, gdcm::VR::DS,
       slice.slope_text.empty() ? fmt::format("{:.10g}", slice.slope) : slice.slope_text);
  gdcm::DataElement pixels(gdcm::Tag(0x7fe0, 0x0010));
  pixels.SetVR(gdcm::VR::OW);
  pixels.SetByteValue(reinterpret_cast<const char*>(slice.pixels.data()),
                      static_cast<std::uint32_t>(2 * slice.pixels.size()));
  data.Replace(pixels);
  file.GetHeader().SetDataSetTransferSyntax(gdcm::TransferSyntax::ExplicitVRLittleEndian);
  std::filesystem::create_directories(path.parent_path());
  writer.SetFileName(path.c_str());
  if (!writer.Write()) throw std::runtime_error("GDCM cannot write " + path.string());
}

/// A volume whose third axis is at right angles to the others as one series, stored as
/// round((v - intercept) / slope). `spoil` may change each slice (by its number) before it is
/// written as IM0000, IM0001, ... in `folder`; slices without rows are left out.
inline void write_dicom_series(
    const std::filesystem::path& folder, const data::Volume<float>& volume,
    const std::function<void(std::size_t, DicomSlice&)>& spoil = [](std::size_t, DicomSlice&) {}) {
  const data::Geometry& geometry = volume.geometry;
  Eigen::Matrix4d lps = geometry.affine;
  lps.topRows<2>() *= -1.0;
  const auto plane = static_cast<std::size_t>(geometry.shape[0] * geometry.shape[1]);
  for (std::size_t z = 0; z < static_cast<std::size_t>(geometry.shape[2]); ++z) {
    DicomSlice slice;
    slice.rows = static_cast<std::uint16_t>(geometry.shape[1]);
    slice.columns = static_cast<std::uint16_t>(geometry.shape[0]);
    slice.spacing = {lps.block<3, 1>(0, 0).norm(), lps.block<3, 1>(0, 1).norm()};
    slice.along_row = lps.block<3, 1>(0, 0).normalized();
    slice.along_column = lps.block<3, 1>(0, 1).normalized();
    slice.position = (lps * Eigen::Vector4d(0, 0, static_cast<double>(z), 1)).head<3>();
    slice.pixels.resize(plane);
    for (std::size_t i = 0; i < plane; ++i) {
      slice.pixels[i] = static_cast<std::uint16_t>(std::lround(volume.voxels[z * plane + i]));
    }
    spoil(z, slice);
    if (slice.rows == 0) continue;
    if (slice.instance_uid.empty())
      slice.instance_uid = fmt::format("{}.{}", slice.series_uid, z + 1);
    write_dicom(folder / fmt::format("IM{:04}", z), slice);
  }
}

}  // namespace epvs::tests
