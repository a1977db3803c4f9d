// C++ exceptions as codes and messages that cross a C interface.
#ifndef HEPML_ROOT_FEED_GUARD_HXX
#define HEPML_ROOT_FEED_GUARD_HXX

#include "types.hxx"

#include <cstring>
#include <exception>

namespace hepml_root::feed {

/// Write the text where Python reads it, and give back the code that says which exception it becomes.
inline long long report(char* message, std::size_t room, long long code, const char* text) {
   std::strncpy(message, text, room - 1);
   message[room - 1] = '\0';
   return code;
}

/// Run `call`, which returns a number from 0 on, and turn what it throws into a negative code and a message.
template <typename Call> long long guarded(char* message, std::size_t room, Call&& call) {
   try {
      return static_cast<long long>(call());
   } catch (const Damaged& error) {
      return report(message, room, -1, error.what());
   } catch (const NotPlain& error) {
      return report(message, room, -2, error.what());
   } catch (const NotFinite& error) {
      return report(message, room, -4, error.what());
   } catch (const Uneven& error) {
      return report(message, room, -5, error.what());
   } catch (const std::invalid_argument& error) {
      return report(message, room, -6, error.what());
   } catch (const std::exception& error) {
      return report(message, room, -3, error.what());
   }
}

} // namespace hepml_root::feed

#endif
