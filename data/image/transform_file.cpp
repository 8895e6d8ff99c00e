#include "data/image/transform_file.h"

// Eigen before ITK: ITK includes parts of its own copy, which must find all of ours in place.
#include <Eigen/Dense>

#include <itkCompositeTransform.h>
#include <itkMatlabTransformIOFactory.h>
#include <itkMatrixOffsetTransformBase.h>
#include <itkTransformFactory.h>
#include <itkTransformFileReader.h>
#include <itkTxtTransformIOFactory.h>

#include <mutex>

#include "core/error.h"
#include "core/files.h"
#include "core/text.h"
#include "data/image/transform_foreign.h"

namespace epvs::data {

namespace {

/// RAS+ <-> LPS+: the first two axes change sign.
Eigen::Matrix4d mirrored(const Eigen::Matrix4d& matrix) {
  const Eigen::Vector4d signs(-1, -1, 1, 1);
  return signs.asDiagonal() * matrix * signs.asDiagonal();
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
    throw core::InputError(
        fmt::format("{} is not a transform that ITK can read", path.string()),
        "expected ITK text (.txt, .tfm) or the binary .mat of ANTs; FLIRT's matrices end in .mat");
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

}  // namespace epvs::data
