#include "data/image/transform_file.h"

// Eigen before ITK: ITK includes parts of its own copy, which must find all of ours in place.
#include <Eigen/Dense>

#include <itkCompositeTransform.h>
#include <itkMatlabTransformIOFactory.h>
#include <itkMatrixOffsetTransformBase.h>
#include <itkTransformFactory.h>
#include <itkTransformFileReader.h>
#include <itkTxtTransformIOFactory.h>

#include <array>
#include <cmath>
#include <mutex>
#include <sstream>

#include "core/error.h"
#include "core/files.h"
#include "core/text.h"

namespace epvs::data {

namespace {

/// RAS+ <-> LPS+: the first two axes change sign.
Eigen::Matrix4d mirrored(const Eigen::Matrix4d& matrix) {
  const Eigen::Vector4d signs(-1, -1, 1, 1);
  return signs.asDiagonal() * matrix * signs.asDiagonal();
}

void require_invertible(const Eigen::Matrix4d& matrix, const std::filesystem::path& path) {
  const double determinant = matrix.topLeftCorner<3, 3>().determinant();
  if (!std::isfinite(determinant) || std::abs(determinant) < 1e-6) {
    throw core::InputError(fmt::format("{}: the matrix is singular (determinant {})", path.string(),
                                       core::format_number(determinant)));
  }
}

/// Millimetres of FSL: scaled voxels, x mirrored when the affine's determinant is positive.
Eigen::Matrix4d voxel_to_fsl(const Geometry& geometry) {
  const Eigen::Vector3d spacing = geometry.spacing_mm();
  Eigen::Matrix4d matrix = Eigen::Matrix4d::Identity();
  for (int i = 0; i < 3; ++i) matrix(i, i) = spacing[i];
  if (geometry.affine.topLeftCorner<3, 3>().determinant() > 0) {
    matrix(0, 0) = -spacing[0];
    matrix(0, 3) = spacing[0] * static_cast<double>(geometry.shape[0] - 1);
  }
  return matrix;
}

}  // namespace

void write_transform(const std::filesystem::path& path, const Eigen::Matrix4d& fixed_to_moving) {
  const Eigen::Matrix4d lps = mirrored(fixed_to_moving);
  std::string parameters;
  for (int row = 0; row < 3; ++row) {
    for (int column = 0; column < 3; ++column) {
      parameters += core::format_number(lps(row, column)) + " ";
    }
  }
  for (int row = 0; row < 3; ++row) {
    parameters += core::format_number(lps(row, 3)) + (row < 2 ? " " : "");
  }
  core::write_text(path, fmt::format("#Insight Transform File V1.0\n#Transform 0\n"
                                     "Transform: AffineTransform_double_3_3\nParameters: {}\n"
                                     "FixedParameters: 0 0 0\n",
                                     parameters));
}

Eigen::Matrix4d read_itk_transform(const std::filesystem::path& path) {
  core::require_exists(path, "the transform");
  static std::once_flag registered;  // ITK finds its formats through a registry of the process
  std::call_once(registered, [] {
    itk::TxtTransformIOFactory::RegisterOneFactory();
    itk::MatlabTransformIOFactory::RegisterOneFactory();
    // The plain base class, as ANTs and others write it, is not among ITK's defaults.
    itk::TransformFactoryBase::RegisterDefaultTransforms();
    itk::TransformFactory<itk::MatrixOffsetTransformBase<double, 3, 3>>::RegisterTransform();
    itk::TransformFactory<itk::MatrixOffsetTransformBase<float, 3, 3>>::RegisterTransform();
  });
  auto reader = itk::TransformFileReaderTemplate<double>::New();
  reader->SetFileName(path.string());
  try {
    reader->Update();
  } catch (const itk::ExceptionObject&) {
    throw core::InputError(fmt::format("{} is not a transform that ITK can read", path.string()),
                           "expected ITK text (.txt, .tfm) or ANTs (.mat)");
  }
  Eigen::Matrix4d matrix = Eigen::Matrix4d::Identity();
  if (reader->GetTransformList()->empty()) {
    throw core::InputError(fmt::format("{} holds no transform", path.string()));
  }
  const auto append = [&](const itk::Object* transform) {
    const auto* linear =
        dynamic_cast<const itk::MatrixOffsetTransformBase<double, 3, 3>*>(transform);
    if (linear == nullptr) {
      throw core::InputError(fmt::format("{} holds a transform that is not linear", path.string()),
                             "give a rigid or affine transform");
    }
    Eigen::Matrix4d next = Eigen::Matrix4d::Identity();
    for (unsigned row = 0; row < 3; ++row) {
      for (unsigned column = 0; column < 3; ++column) {
        next(row, column) = linear->GetMatrix()(row, column);
      }
      next(row, 3) = linear->GetOffset()[row];
    }
    matrix = matrix * next;
  };
  for (const auto& transform : *reader->GetTransformList()) {
    const auto* composite =
        dynamic_cast<const itk::CompositeTransform<double, 3>*>(transform.GetPointer());
    if (composite == nullptr) {
      append(transform.GetPointer());
      continue;
    }
    for (unsigned i = 0; i < composite->GetNumberOfTransforms(); ++i) {
      append(composite->GetNthTransformConstPointer(i));
    }
  }
  require_invertible(matrix, path);
  return mirrored(matrix);
}

Eigen::Matrix4d read_fsl_transform(const std::filesystem::path& path, const Geometry& fixed,
                                   const Geometry& moving) {
  std::istringstream text(core::read_text(path));
  Eigen::Matrix4d matrix;
  for (int row = 0; row < 4; ++row) {
    for (int column = 0; column < 4; ++column) {
      if (!(text >> matrix(row, column))) {
        throw core::InputError(fmt::format("{} is not a 4x4 matrix of FLIRT", path.string()));
      }
    }
  }
  require_invertible(matrix, path);
  return moving.affine * voxel_to_fsl(moving).inverse() * matrix.inverse() * voxel_to_fsl(fixed) *
         fixed.affine.inverse();
}

}  // namespace epvs::data
