// What a service manager hears.

#include "shared/base/service_manager.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/notify_socket.h"

namespace tandem {
namespace {

TEST(ServiceManagerTest, HearsWhatIsSaidOverItsSocket) {
  const testing::TempDir folder;
  testing::NotifySocket manager(folder / "notify");
  ::setenv("NOTIFY_SOCKET", manager.path().c_str(), 1);
  tell_service_manager("READY=1");
  tell_service_manager("STATUS=ready=3");
  ::unsetenv("NOTIFY_SOCKET");
  EXPECT_EQ(manager.next(), "READY=1");
  EXPECT_EQ(manager.next(), "STATUS=ready=3");
}

TEST(ServiceManagerTest, WithoutOneNothingHappens) {
  ::unsetenv("NOTIFY_SOCKET");
  tell_service_manager("READY=1");
  for (const std::string& path : {std::string(), std::string("/nowhere/at/all"), std::string(500, 'x')}) {
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
    tell_service_manager("READY=1");
  }
  ::unsetenv("NOTIFY_SOCKET");
}

}  // namespace
}  // namespace tandem
