// Linear transforms in ITK's text format, written by ITK itself, and where ITK sends points:
// independent of epvs.
//
//     make_itk_transforms OUT_DIR    (built against ITK 5.2: ITKTransform, ITKIOTransformInsightLegacy)
#include <itkAffineTransform.h>
#include <itkCompositeTransform.h>
#include <itkEuler3DTransform.h>
#include <itkTransformFileWriter.h>
#include <itkTranslationTransform.h>
#include <itkTxtTransformIOFactory.h>
#include <itkVersorRigid3DTransform.h>

#include <fstream>
#include <iostream>
#include <string>

namespace {

using Base = itk::Transform<double, 3, 3>;

std::ofstream points;

void save(const std::string& folder, const std::string& name, const Base* transform) {
  auto writer = itk::TransformFileWriterTemplate<double>::New();
  writer->SetInput(transform);
  writer->SetFileName(folder + "/" + name);
  writer->Update();
  for (const double z : {-60.0, 0.0, 75.0}) {
    for (const double x : {-50.0, 65.0}) {
      Base::InputPointType point;
      point[0] = x;
      point[1] = 0.7 * z - 12;
      point[2] = z;
      const auto image = transform->TransformPoint(point);
      points << name;  // ITK's points are LPS
      for (const double value : {-point[0], -point[1], point[2], -image[0], -image[1], image[2]}) {
        points << '\t' << value;
      }
      points << '\n';
    }
  }
}

template <class T>
void set_common(T* transform) {
  typename T::CenterType centre;
  centre[0] = -1.75871;
  centre[1] = -9.50893;
  centre[2] = 34.8437;
  transform->SetCenter(centre);
  typename T::OutputVectorType shift;
  shift[0] = 5.25;
  shift[1] = -6.125;
  shift[2] = 7.0625;
  transform->SetTranslation(shift);
}

}  // namespace

int main(int /*argc*/, char** argv) {
  const std::string folder = argv[1];
  itk::TxtTransformIOFactory::RegisterOneFactory();
  points.open(folder + "/itk_points.tsv");
  points.precision(17);
  points << "file\tx\ty\tz\timage_x\timage_y\timage_z\n";
  auto euler = itk::Euler3DTransform<double>::New();
  set_common(euler.GetPointer());
  euler->SetRotation(0.2, -0.3, 0.4);
  save(folder, "itk_euler.txt", euler);
  euler->SetComputeZYX(true);
  euler->SetRotation(0.2, -0.3, 0.4);
  save(folder, "itk_euler_zyx.txt", euler);
  auto versor = itk::VersorRigid3DTransform<double>::New();
  set_common(versor.GetPointer());
  itk::Vector<double, 3> axis;
  axis[0] = 1;
  axis[1] = -2;
  axis[2] = 0.5;
  versor->SetRotation(axis, 0.35);
  save(folder, "itk_versor.txt", versor);
  auto affine = itk::AffineTransform<double, 3>::New();
  set_common(affine.GetPointer());
  affine->Scale(1.125);
  affine->Shear(0, 2, 0.0625);
  affine->Rotate(0, 1, 0.15);
  save(folder, "itk_affine.txt", affine);
  auto shift = itk::TranslationTransform<double, 3>::New();
  itk::TranslationTransform<double, 3>::OutputVectorType by;
  by[0] = 11;
  by[1] = -3.5;
  by[2] = 0.75;
  shift->SetOffset(by);
  auto composite = itk::CompositeTransform<double, 3>::New();
  composite->AddTransform(shift);
  composite->AddTransform(versor);
  composite->AddTransform(affine);
  save(folder, "itk_composite.txt", composite);
  return 0;
}
