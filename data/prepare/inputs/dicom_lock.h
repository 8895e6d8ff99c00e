// GDCM is used by one thread at a time, and in silence: its warnings may quote values of a header.
#pragma once

#include <mutex>

namespace epvs::data {

class GdcmLock {
 public:
  GdcmLock();

 private:
  std::lock_guard<std::mutex> lock_;
};

}  // namespace epvs::data
