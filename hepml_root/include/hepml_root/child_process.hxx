// A program as a child process, whose output is read line by line while it runs, and which can be spoken with
// through a socket. POSIX, without a shell.

#ifndef HEPML_ROOT_CHILD_PROCESS_HXX
#define HEPML_ROOT_CHILD_PROCESS_HXX

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include <fcntl.h>
#include <spawn.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace hepml_root {

/// A running program. Its standard input is empty.
class ChildProcess {
public:
   /// Takes a line without its end; `of_errors`: it was written to the standard error.
   using Line = std::function<void(const std::string& line, bool of_errors)>;

   /// The descriptor of the program's end of the socket.
   static constexpr int socket_of_child = 3;

   /// Start `words[0]` with the other words as arguments; `with_socket`: for Ask().
   ///
   /// Throws std::runtime_error if it cannot be started.
   explicit ChildProcess(const std::vector<std::string>& words, bool with_socket = false) {
      Ends out, err, socket;
      out.Pipe();
      err.Pipe();
      if (with_socket)
         socket.Socket();
      Start(words, out.ends[1], err.ends[1], socket.ends[1]);
      fFrom[0].end = out.Take(0);
      fFrom[1].end = err.Take(0);
      fFrom[2].end = socket.Take(0);
   }
   ChildProcess(const ChildProcess&) = delete;
   ChildProcess& operator=(const ChildProcess&) = delete;

   /// A program that can be spoken with ends when its socket is closed; any other is ended.
   ~ChildProcess() {
      const bool speaks = fFrom[2].end >= 0;
      for (Source& from : fFrom)
         from.Close();
      if (fChild > 0) {
         if (!speaks)
            kill(fChild, SIGTERM);
         Wait();
      }
   }

   /// Run a program to its end: give every line to `line` as it comes, and return the exit code; 128 + the
   /// signal if it was ended by one. If `line` throws, the program is ended.
   static int Run(const std::vector<std::string>& words, const Line& line) {
      ChildProcess child(words);
      return child.Finish(line);
   }

   /// Read all there is still to come, and return the exit code as Run().
   int Finish(const Line& line) {
      while (fFrom[0].end >= 0 || fFrom[1].end >= 0)
         Read(line);
      return fCode >= 0 ? fCode : Wait();
   }

   /// Send a line through the socket, give what the program prints to `line`, and return the line that it
   /// answers. Everything that it printed before it answered is given before.
   ///
   /// Throws std::runtime_error if the program has ended.
   std::string Ask(const std::string& text, const Line& line) {
      const std::string sent = text + '\n';
      for (std::size_t at = 0; at < sent.size();) {
         const ssize_t count = send(fFrom[2].end, sent.data() + at, sent.size() - at, MSG_NOSIGNAL);
         if (count < 0 && errno != EINTR)
            throw std::runtime_error("hepml_root: the program has ended");
         at += count > 0 ? static_cast<std::size_t>(count) : 0;
      }
      std::string& answer = fFrom[2].rest;
      while (answer.find('\n') == std::string::npos) {
         if (fFrom[2].end < 0)
            throw std::runtime_error("hepml_root: the program has ended");
         Read(line);
      }
      while (Read(line, false)) { // what was printed, and is in the pipes
      }
      const auto end = answer.find('\n');
      const std::string found = answer.substr(0, end);
      answer.erase(0, end + 1);
      return found;
   }

private:
   /// Two ends, of which the program gets the second.
   struct Ends {
      int ends[2] = {-1, -1};
      Ends() = default;
      Ends(const Ends&) = delete;
      Ends& operator=(const Ends&) = delete;
      ~Ends() {
         for (const int end : ends)
            if (end >= 0)
               close(end);
      }
      void Pipe() { Check(pipe(ends)); }
      void Socket() { Check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends)); }
      int Take(int which) {
         const int end = ends[which];
         ends[which] = -1;
         return end;
      }

   private:
      void Check(int failed) {
         if (failed)
            throw std::runtime_error(std::string("hepml_root: no pipe: ") + std::strerror(errno));
         for (int& end : ends) {
            // The program finds its socket at descriptor 3, and has not to lose another one by that.
            if (end <= socket_of_child) {
               const int moved = fcntl(end, F_DUPFD, socket_of_child + 1);
               close(end);
               end = moved;
            }
            // Another program that is started meanwhile must not keep the ends.
            if (end < 0 || end >= FD_SETSIZE || fcntl(end, F_SETFD, FD_CLOEXEC) != 0)
               throw std::runtime_error("hepml_root: too many files are open to start a program");
         }
      }
   };

   /// What is read: standard output, standard error, socket.
   struct Source {
      int end = -1;
      std::string rest;
      void Close() {
         if (end >= 0)
            close(end);
         end = -1;
      }
   };

   void Start(const std::vector<std::string>& words, int out, int err, int socket) {
      std::vector<char*> arguments;
      for (const std::string& word : words)
         arguments.push_back(const_cast<char*>(word.c_str()));
      arguments.push_back(nullptr);
      posix_spawn_file_actions_t actions;
      posix_spawn_file_actions_init(&actions);
      posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
      posix_spawn_file_actions_adddup2(&actions, out, 1);
      posix_spawn_file_actions_adddup2(&actions, err, 2);
      if (socket >= 0)
         posix_spawn_file_actions_adddup2(&actions, socket, socket_of_child);
      const int failed = posix_spawnp(&fChild, arguments[0], &actions, nullptr, arguments.data(), environ);
      posix_spawn_file_actions_destroy(&actions);
      if (failed) {
         fChild = -1;
         throw std::runtime_error("hepml_root: the program '" + words[0] +
                                  "' cannot be started: " + std::strerror(failed));
      }
   }

   int Wait() {
      int status = 0;
      while (waitpid(fChild, &status, 0) < 0 && errno == EINTR) {
      }
      fChild = -1;
      fCode = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      return fCode;
   }

   /// Read what is there, once; `wait` until there is something. False if there was nothing.
   bool Read(const Line& line, bool wait = true) {
      fd_set ready; // not poll(), whose header ROOT's interpreter does not take
      FD_ZERO(&ready);
      int highest = -1;
      for (const Source& from : fFrom)
         if (from.end >= 0) {
            FD_SET(from.end, &ready);
            highest = std::max(highest, from.end);
         }
      timeval at_once = {0, 0};
      const int count =
          highest < 0 ? 0 : select(highest + 1, &ready, nullptr, nullptr, wait ? nullptr : &at_once);
      if (count < 0 && errno != EINTR)
         throw std::runtime_error(std::string("hepml_root: select: ") + std::strerror(errno));
      if (count <= 0)
         return count < 0;
      bool any = false;
      for (int i = 0; i < 3; ++i)
         if (fFrom[i].end >= 0 && FD_ISSET(fFrom[i].end, &ready)) {
            Take(fFrom[i]);
            any = true;
            if (i < 2)
               Lines(fFrom[i], line, i == 1);
         }
      return any;
   }

   static void Take(Source& from) {
      char room[4096];
      const ssize_t count = read(from.end, room, sizeof(room));
      if (count > 0)
         from.rest.append(room, static_cast<std::size_t>(count));
      else if (count == 0 || errno != EINTR)
         from.Close();
   }

   static void Lines(Source& from, const Line& line, bool of_errors) {
      std::string text;
      text.swap(from.rest);
      std::size_t begin = 0;
      for (auto end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
         line(text.substr(begin, end - begin), of_errors);
         begin = end + 1;
      }
      if (from.end >= 0)
         from.rest = text.substr(begin);
      else if (begin < text.size())
         line(text.substr(begin), of_errors);
   }

   pid_t fChild = -1;
   int fCode = -1;
   Source fFrom[3];
};

} // namespace hepml_root

#endif
