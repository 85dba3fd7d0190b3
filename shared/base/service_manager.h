// Tells systemd, or whoever else started this program as a service of Type=notify, how it is.

#pragma once

#include <string>

namespace tandem {

// Sends lines such as "READY=1", "STOPPING=1" or "STATUS=ready=3" (sd_notify(3)) to the socket that
// $NOTIFY_SOCKET names, without waiting. Without that variable, or with nobody there, it does nothing.
void tell_service_manager(const std::string& lines);

}  // namespace tandem
