#include "data/prepare/registration/transform_file.h"

// Eigen before ITK: ITK includes parts of its own copy, which must find all of ours in place.
#include <Eigen/Dense>

#include <itkBSplineTransform.h>
#include <itkCompositeTransform.h>
#include <itkMatlabTransformIOFactory.h>
#include <itkMatrixOffsetTransformBase.h>
#include <itkTransformFactory.h>
#include <itkTransformFileReader.h>
#include <itkTxtTransformIOFactory.h>

#include <cmath>
#include <mutex>

#include "core/error.h"
#include "core/files.h"
#include "core/text.h"
#include "data/prepare/registration/transform_foreign.h"

namespace epvs::data {

namespace {

/// RAS+ <-> LPS+: the first two axes change sign.
Eigen::Matrix4d mirrored(const Eigen::Matrix4d& matrix) {
  const Eigen::Vector4d signs(-1, -1, 1, 1);
  return signs.asDiagonal() * matrix * signs.asDiagonal();
}

constexpr const char* kHead = "#Insight Transform File V1.0\n";

std::string affine_text(const Eigen::Matrix4d& matrix) {
  const Eigen::Matrix4d lps = mirrored(matrix);
  std::string parameters;
  for (int row = 0; row < 3; ++row) {
    for (int column = 0; column < 3; ++column) {
      parameters += core::format_number(lps(row, column)) + " ";
    }
  }
  for (int row = 0; row < 3; ++row) {
    parameters += core::format_number(lps(row, 3)) + (row < 2 ? " " : "");
  }
  return fmt::format(
      "Transform: AffineTransform_double_3_3\nParameters: {}\nFixedParameters: 0 0 0\n",
      parameters);
}

/// All x, then all y, then all z. The grid's first two axes run against those of LPS.
std::string spline_text(const Deformation& deformation) {
  const ControlGrid& grid = deformation.grid();
  std::string parameters;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    for (std::size_t i = 0; i < grid.points(); ++i) {
      const double value = deformation.coefficients()[3 * i + axis];
      parameters += " " + core::format_number(axis < 2 ? 0.0 - value : value);
    }
  }
  const auto number = [](double value) { return core::format_number(value); };
  return fmt::format(
      "Transform: BSplineTransform_double_3_3\nParameters:{}\n"
      "FixedParameters: {} {} {} {} {} {} {} {} {} -1 0 0 0 -1 0 0 0 1\n",
      parameters, grid.count[0], grid.count[1], grid.count[2], number(-grid.origin_mm[0]),
      number(-grid.origin_mm[1]), number(grid.origin_mm[2]), number(grid.spacing_mm),
      number(grid.spacing_mm), number(grid.spacing_mm));
}

using Reader = itk::TransformFileReaderTemplate<double>;
using Linear = itk::MatrixOffsetTransformBase<double, 3, 3>;
using Composite = itk::CompositeTransform<double, 3>;
using Spline = itk::BSplineTransform<double, 3, 3>;

Reader::Pointer open_transform(const std::filesystem::path& path) {
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
  auto reader = Reader::New();
  reader->SetFileName(path.string());
  try {
    reader->Update();
  } catch (const itk::ExceptionObject&) {
    throw core::InputError(
        fmt::format("{} is not a transform that ITK can read", path.string()),
        "expected ITK text (.txt, .tfm) or the binary .mat of ANTs; FLIRT's matrices end in .mat");
  }
  return reader;
}

/// As a matrix of ITK's own (LPS) points.
Eigen::Matrix4d matrix_of(const Linear& linear) {
  Eigen::Matrix4d matrix = Eigen::Matrix4d::Identity();
  for (unsigned row = 0; row < 3; ++row) {
    for (unsigned column = 0; column < 3; ++column) {
      matrix(row, column) = linear.GetMatrix()(row, column);
    }
    matrix(row, 3) = linear.GetOffset()[row];
  }
  return matrix;
}

}  // namespace

void write_transform(const std::filesystem::path& path, const Eigen::Matrix4d& fixed_to_moving) {
  core::write_text(path, fmt::format("{}#Transform 0\n{}", kHead, affine_text(fixed_to_moving)));
}

void write_deformable_transform(const std::filesystem::path& path,
                                const DeformableTransform& transform) {
  core::write_text(
      path, fmt::format("{}#Transform 0\nTransform: CompositeTransform_double_3_3\n"
                        "#Transform 1\n{}#Transform 2\n{}",
                        kHead, spline_text(transform.deformation), affine_text(transform.affine)));
}

DeformableTransform read_deformable_transform(const std::filesystem::path& path) {
  const Reader::Pointer reader = open_transform(path);
  const auto refuse = [&path](const std::string& what) {
    throw core::InputError(fmt::format("{} {}", path.string(), what),
                           "expected a deformable transform that epvs prepare wrote");
  };
  const auto* composite =
      reader->GetTransformList()->empty()
          ? nullptr
          : dynamic_cast<const Composite*>(reader->GetTransformList()->front().GetPointer());
  if (composite == nullptr || composite->GetNumberOfTransforms() != 2) {
    refuse("is not a composite of two transforms");
  }
  const auto* spline = dynamic_cast<const Spline*>(composite->GetNthTransformConstPointer(0));
  const auto* linear = dynamic_cast<const Linear*>(composite->GetNthTransformConstPointer(1));
  if (spline == nullptr || linear == nullptr) {
    refuse("is not a composite of a cubic B-spline and an affine transform");
  }
  DeformableTransform result;
  result.affine = mirrored(matrix_of(*linear));
  require_invertible(result.affine, path);
  const auto& fixed = spline->GetFixedParameters();  // size, origin, spacing, direction
  ControlGrid grid;
  for (unsigned axis = 0; axis < 3; ++axis) {
    const double sign = axis < 2 ? -1 : 1;
    grid.count[axis] = std::llround(fixed[axis]);
    grid.origin_mm[axis] = sign * fixed[3 + axis];
    grid.spacing_mm = fixed[6];
    for (unsigned row = 0; row < 3; ++row) {
      const double wanted = row == axis ? sign : 0;
      if (std::abs(fixed[9 + 3 * row + axis] - wanted) > 1e-9 || fixed[6 + axis] != fixed[6]) {
        refuse("has a control grid that is not isotropic along the world axes");
      }
    }
  }
  result.deformation = Deformation(grid);
  const auto& parameters = spline->GetParameters();
  for (std::size_t i = 0; i < grid.points(); ++i) {
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const double value = parameters[static_cast<unsigned>(axis * grid.points() + i)];
      result.deformation.coefficients()[3 * i + axis] = axis < 2 ? -value : value;
    }
  }
  return result;
}

Eigen::Matrix4d read_itk_transform(const std::filesystem::path& path) {
  const Reader::Pointer reader = open_transform(path);
  Eigen::Matrix4d matrix = Eigen::Matrix4d::Identity();
  if (reader->GetTransformList()->empty()) {
    throw core::InputError(fmt::format("{} holds no transform", path.string()));
  }
  const auto append = [&](const itk::Object* transform) {
    const auto* linear = dynamic_cast<const Linear*>(transform);
    if (linear == nullptr) {
      throw core::InputError(fmt::format("{} holds a transform that is not linear", path.string()),
                             "give a rigid or affine transform");
    }
    matrix = matrix * matrix_of(*linear);
  };
  for (const auto& transform : *reader->GetTransformList()) {
    const auto* composite = dynamic_cast<const Composite*>(transform.GetPointer());
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

}  // namespace epvs::data
