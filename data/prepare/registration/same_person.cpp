#include "data/prepare/registration/same_person.h"

#include <fmt/format.h>

namespace epvs::data {

RegistrationResult register_mirrored(const Volume<float>& fixed, const Volume<float>& moving) {
  Volume<float> mirror = moving;
  mirror.geometry.affine.row(0) *= -1.0;
  return register_volumes(fixed, mirror, Motion::kRigid);
}

SidesFit fit_of_sides(const Volume<float>& fixed, const Volume<float>& moving,
                      const Eigen::Matrix4d& fixed_to_moving, const RegistrationResult& mirrored) {
  return {mutual_information(fixed, moving, fixed_to_moving), mirrored.information_after};
}

std::optional<std::string> doubt_of(const SidesFit& fit) {
  if (fit.ratio() >= kSamePersonRatio) return std::nullopt;
  const std::string numbers =
      fmt::format("mutual information {:.3f} nats, with its mirror image {:.3f}", fit.information,
                  fit.mirrored);
  if (fit.ratio() <= 1.0 / kSamePersonRatio) {
    return fmt::format(
        "the T1w fits better when it is mirrored ({}): one of the two headers has left and right "
        "exchanged",
        numbers);
  }
  return fmt::format(
      "the T1w fits no better than its mirror image ({}): different people, or a failed "
      "registration",
      numbers);
}

}  // namespace epvs::data
