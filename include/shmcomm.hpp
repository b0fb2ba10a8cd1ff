/* shmcomm.hpp: shmcomm.h for C++17 and later. */

#ifndef SHMCOMM_SHMCOMM_HPP
#define SHMCOMM_SHMCOMM_HPP

#if __cplusplus < 201703L
#error "shmcomm.hpp needs C++17: compile with -std=c++17, or include shmcomm.h"
#endif
#ifndef __cpp_exceptions
#error "shmcomm.hpp reports errors by exceptions: include shmcomm.h instead"
#endif

#include <cerrno>
#include <chrono>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#if __has_include(<span>)
#include <span>
#endif

#include "shmcomm.h"

/*
 * Classes over the functions of shmcomm.h, where their names, flags and
 * errors are described. Link with the same library.
 *
 * Objects close themselves. They can be moved and not copied; a moved-from one
 * can only be destroyed or assigned to. Nothing is removed but by remove.
 *
 * Errors: std::system_error with std::generic_category(), whose code() is the
 * errno of the C function and compares with std::errc, such as
 * std::errc::broken_pipe. A call with a timeout reports "nothing yet" (EAGAIN,
 * ETIMEDOUT) as false or std::nullopt instead.
 *
 * Timeouts: a call without one waits for ever, but for SHMC_INTR, which ends it
 * with std::errc::interrupted.
 *
 * Threads, signals and fork(2): as in shmcomm.h.
 */
namespace shmcomm {

/// How long a call may wait: any duration of std::chrono, rounded up to
/// milliseconds, at most 24 days. Zero and less: not at all.
class timeout {
public:
    template <class Rep, class Period>
    constexpr timeout(std::chrono::duration<Rep, Period> duration) noexcept
        : milliseconds_(convert(
              std::chrono::duration<double, std::milli>(duration).count()))
    {
    }

    /// As shmcomm.h takes it.
    constexpr int milliseconds() const noexcept
    {
        return milliseconds_;
    }

private:
    static constexpr int convert(double milliseconds) noexcept
    {
        if (!(milliseconds > 0))
            return 0;
        if (milliseconds >= INT_MAX)
            return INT_MAX;
        const int whole = static_cast<int>(milliseconds);
        return whole < milliseconds ? whole + 1 : whole;
    }

    int milliseconds_;
};

namespace detail {

[[noreturn]] inline void fail(const char *call)
{
    throw std::system_error(errno, std::generic_category(), call);
}

inline void check(int result, const char *call)
{
    if (result == -1)
        fail(call);
}

/// After a call with a timeout has failed: returns if it had nothing yet.
inline void nothing_yet(const char *call)
{
    if (errno != EAGAIN && errno != ETIMEDOUT)
        fail(call);
}

template <class T, int (*close)(T *)>
struct closer {
    void operator()(T *object) const noexcept
    {
        close(object);
    }
};

template <class T, int (*close)(T *)>
using handle = std::unique_ptr<T, closer<T, close>>;

template <class T>
constexpr bool is_plain =
    std::is_trivially_copyable_v<T> && !std::is_pointer_v<T>;

} // namespace detail

/// The bytes of an object, to send them: channel.send(bytes_of(point)).
template <class T>
std::string_view bytes_of(const T &object) noexcept
{
    static_assert(detail::is_plain<T>, "its bytes alone are not the object");
    return {reinterpret_cast<const char *>(&object), sizeof object};
}

/// Removes a segment, a channel or a topic (shmc_remove).
inline void remove(const std::string &name)
{
    detail::check(shmc_remove(name.c_str()), "shmc_remove");
}

/// Shared memory of any kind (shmc_segment_open).
class segment {
public:
    /// flags: 0, or some of SHMC_CREATE, SHMC_EXCL, SHMC_RDONLY, ...
    explicit segment(const std::string &name, std::size_t size = 0,
                     int flags = 0, mode_t mode = 0600)
        : handle_(shmc_segment_open(name.c_str(), size, flags, mode))
    {
        if (!handle_)
            detail::fail("shmc_segment_open");
    }

    void *data() const noexcept
    {
        return shmc_segment_addr(handle_.get());
    }

    /// The true size in bytes.
    std::size_t size() const noexcept
    {
        return shmc_segment_size(handle_.get());
    }

#ifdef __cpp_lib_span
    std::span<std::byte> bytes() const noexcept
    {
        return {static_cast<std::byte *>(data()), size()};
    }
#endif

    /// The object at this offset. std::errc::invalid_argument if the segment
    /// is too small, or the offset is not aligned. Zeros, or what another
    /// process stored there, must be a value of the type: a type with pointers
    /// has no meaning there.
    template <class T>
    T &at(std::size_t offset = 0) const
    {
        static_assert(std::is_standard_layout_v<T> && !std::is_pointer_v<T>,
                      "other processes may lay it out differently");
        if (offset > size() || sizeof(T) > size() - offset ||
            offset % alignof(T) != 0) {
            errno = EINVAL;
            detail::fail("shmcomm::segment::at");
        }
        return *reinterpret_cast<T *>(static_cast<char *>(data()) + offset);
    }

    shmc_segment_info stat() const
    {
        shmc_segment_info info;
        detail::check(shmc_segment_stat(handle_.get(), &info),
                      "shmc_segment_stat");
        return info;
    }

    void chmod(mode_t mode)
    {
        detail::check(shmc_segment_chmod(handle_.get(), mode),
                      "shmc_segment_chmod");
    }

    void chown(uid_t uid, gid_t gid)
    {
        detail::check(shmc_segment_chown(handle_.get(), uid, gid),
                      "shmc_segment_chown");
    }

    /// Keeps the memory from being swapped.
    void lock()
    {
        detail::check(shmc_segment_lock(handle_.get()), "shmc_segment_lock");
    }

    void unlock()
    {
        detail::check(shmc_segment_unlock(handle_.get()),
                      "shmc_segment_unlock");
    }

    void sync()
    {
        detail::check(shmc_segment_sync(handle_.get()), "shmc_segment_sync");
    }

    /// For functions of shmcomm.h; it stays open.
    shmc_segment *native() const noexcept
    {
        return handle_.get();
    }

private:
    detail::handle<shmc_segment, shmc_segment_close> handle_;
};

/// A mutex in shared memory, for std::lock_guard and std::unique_lock. This
/// object refers to the memory, which must stay attached.
class mutex {
public:
    /// memory: zeros, or a mutex, which stays as it is (shmc_mutex_init).
    explicit mutex(shmc_mutex &memory) : memory_(&memory)
    {
        detail::check(shmc_mutex_init(memory_), "shmc_mutex_init");
    }

    mutex(mutex &&) noexcept = default;
    mutex &operator=(mutex &&) noexcept = default;

    void lock()
    {
        locked(shmc_mutex_lock(memory_, -1));
    }

    bool try_lock()
    {
        return locked(shmc_mutex_lock(memory_, 0));
    }

    bool try_lock_for(timeout limit)
    {
        return locked(shmc_mutex_lock(memory_, limit.milliseconds()));
    }

    template <class Clock, class Duration>
    bool try_lock_until(std::chrono::time_point<Clock, Duration> end)
    {
        return try_lock_for(end - Clock::now());
    }

    void unlock()
    {
        detail::check(shmc_mutex_unlock(memory_), "shmc_mutex_unlock");
    }

    /// Whether the thread that held the mutex before this one died: the data
    /// may be half changed. For the holder of the mutex, until it unlocks.
    bool owner_died() const noexcept
    {
        return owner_died_;
    }

private:
    bool locked(int result)
    {
        if (result == -1) {
            detail::nothing_yet("shmc_mutex_lock");
            return false;
        }
        owner_died_ = result == 1;
        return true;
    }

    shmc_mutex *memory_;
    bool owner_died_ = false;
};

/// A lock or a pool of units between processes, or a count of events
/// (shmc_sem_open). Its functions have the names of std::counting_semaphore.
class semaphore {
public:
    /// flags: 0, or some of SHMC_CREATE, SHMC_EXCL, SHMC_EVENTS, SHMC_INTR.
    explicit semaphore(const std::string &name, int value = 1, int flags = 0,
                       mode_t mode = 0600)
        : handle_(shmc_sem_open(name.c_str(), value, flags, mode))
    {
        if (!handle_)
            detail::fail("shmc_sem_open");
    }

    /// Takes a unit, or an event, and waits until there is one.
    void acquire()
    {
        detail::check(shmc_sem_wait(handle_.get(), -1), "shmc_sem_wait");
    }

    bool try_acquire()
    {
        return try_acquire_for(std::chrono::milliseconds(0));
    }

    bool try_acquire_for(timeout limit)
    {
        if (shmc_sem_wait(handle_.get(), limit.milliseconds()) == 0)
            return true;
        detail::nothing_yet("shmc_sem_wait");
        return false;
    }

    /// Returns a unit, or posts an event.
    void release()
    {
        detail::check(shmc_sem_post(handle_.get()), "shmc_sem_post");
    }

    int value() const
    {
        const int value = shmc_sem_value(handle_.get());
        detail::check(value, "shmc_sem_value");
        return value;
    }

    /// Removes a semaphore at once.
    static void remove(const std::string &name)
    {
        detail::check(shmc_sem_remove(name.c_str()), "shmc_sem_remove");
    }

    /// For functions of shmcomm.h; it stays open.
    shmc_sem *native() const noexcept
    {
        return handle_.get();
    }

private:
    detail::handle<shmc_sem, shmc_sem_close> handle_;
};

/// A message where it lies in the channel; the destructor frees it there. It
/// must not outlive its channel object, and a channel has one at a time.
class message {
public:
    message(message &&other) noexcept
        : channel_(std::exchange(other.channel_, nullptr)),
          view_(std::exchange(other.view_, {}))
    {
    }

    message &operator=(message &&other) noexcept
    {
        if (this != &other) {
            free();
            channel_ = std::exchange(other.channel_, nullptr);
            view_ = std::exchange(other.view_, {});
        }
        return *this;
    }

    ~message()
    {
        free();
    }

    std::string_view view() const noexcept
    {
        return view_;
    }

    const char *data() const noexcept
    {
        return view_.data();
    }

    std::size_t size() const noexcept
    {
        return view_.size();
    }

#ifdef __cpp_lib_span
    std::span<const std::byte> bytes() const noexcept
    {
        return {reinterpret_cast<const std::byte *>(data()), size()};
    }
#endif

    /// A copy of the message as an object, see bytes_of. std::errc::bad_message
    /// if it has another size.
    template <class T>
    T as() const
    {
        static_assert(detail::is_plain<T>, "its bytes alone are not an object");
        if (size() != sizeof(T)) {
            errno = EBADMSG;
            detail::fail("shmcomm::message::as");
        }
        T object;
        std::memcpy(&object, data(), sizeof object);
        return object;
    }

    /// Leaves the message in the channel: the next peek or receive finds it.
    void keep() noexcept
    {
        channel_ = nullptr;
    }

private:
    friend class channel;

    message(shmc_channel *channel, const void *data, std::size_t size) noexcept
        : channel_(channel), view_(static_cast<const char *>(data), size)
    {
    }

    void free() noexcept
    {
        if (channel_ != nullptr)
            shmc_release(channel_);
    }

    shmc_channel *channel_;
    std::string_view view_;
};

/// Room in a channel for one message, which commit sends. Without commit the
/// destructor discards it. It must not outlive its channel object, and a
/// channel has one at a time.
class reservation {
public:
    reservation(reservation &&other) noexcept
        : channel_(std::exchange(other.channel_, nullptr)),
          data_(other.data_), size_(other.size_)
    {
    }

    reservation &operator=(reservation &&) = delete;

    ~reservation()
    {
        /* EMSGSIZE; it discards the reservation */
        if (channel_ != nullptr)
            shmc_reserve(channel_, static_cast<std::size_t>(-1), 0);
    }

    /// Aligned to 8.
    void *data() const noexcept
    {
        return data_;
    }

    std::size_t size() const noexcept
    {
        return size_;
    }

#ifdef __cpp_lib_span
    std::span<std::byte> bytes() const noexcept
    {
        return {static_cast<std::byte *>(data_), size_};
    }
#endif

    /// Sends the first bytes of the room, all of it by default.
    void commit()
    {
        commit(size_);
    }

    void commit(std::size_t size)
    {
        detail::check(shmc_commit(channel_, size), "shmc_commit");
        channel_ = nullptr;
    }

private:
    friend class channel;

    reservation(shmc_channel *channel, void *data, std::size_t size) noexcept
        : channel_(channel), data_(data), size_(size)
    {
    }

    shmc_channel *channel_;
    void *data_;
    std::size_t size_;
};

/// One end of a message channel (shmc_channel_open).
class channel {
public:
    /// flags: SHMC_SEND or SHMC_RECV, with any of SHMC_CREATE, SHMC_EXCL,
    /// SHMC_SHARED, SHMC_INTR.
    /// capacity: bytes for messages; 0: that of the existing channel, or 1 MiB.
    explicit channel(const std::string &name, int flags,
                     std::size_t capacity = 0, mode_t mode = 0600)
        : handle_(shmc_channel_open(name.c_str(), capacity, flags, mode))
    {
        if (!handle_)
            detail::fail("shmc_channel_open");
    }

    /// Sends a message: a string, or bytes_of an object.
    void send(std::string_view message)
    {
        detail::check(send_for(message, -1), "shmc_send");
    }

    [[nodiscard]] bool send(std::string_view message, timeout limit)
    {
        if (send_for(message, limit.milliseconds()) == 0)
            return true;
        detail::nothing_yet("shmc_send");
        return false;
    }

#ifdef __cpp_lib_span
    void send(std::span<const std::byte> message)
    {
        send(text(message));
    }

    [[nodiscard]] bool send(std::span<const std::byte> message, timeout limit)
    {
        return send(text(message), limit);
    }
#endif

    /// Receives a message into a buffer, and returns the message's length.
    /// std::errc::message_size if it is longer; it then stays.
    std::size_t receive(void *buffer, std::size_t size)
    {
        const ssize_t length = shmc_recv(handle_.get(), buffer, size, -1);
        if (length == -1)
            detail::fail("shmc_recv");
        return static_cast<std::size_t>(length);
    }

    [[nodiscard]] std::optional<std::size_t>
    receive(void *buffer, std::size_t size, timeout limit)
    {
        const ssize_t length =
            shmc_recv(handle_.get(), buffer, size, limit.milliseconds());
        if (length >= 0)
            return static_cast<std::size_t>(length);
        detail::nothing_yet("shmc_recv");
        return std::nullopt;
    }

    /// Waits for the next message, to read it in place.
    [[nodiscard]] message peek()
    {
        std::size_t size = 0;
        const void *data = shmc_peek(handle_.get(), &size, -1);
        if (data == nullptr)
            detail::fail("shmc_peek");
        return {handle_.get(), data, size};
    }

    [[nodiscard]] std::optional<message> peek(timeout limit)
    {
        std::size_t size = 0;
        const void *data =
            shmc_peek(handle_.get(), &size, limit.milliseconds());
        if (data != nullptr)
            return message(handle_.get(), data, size);
        detail::nothing_yet("shmc_peek");
        return std::nullopt;
    }

    /// Waits for room for a message of this size, to write it in place.
    [[nodiscard]] reservation reserve(std::size_t size)
    {
        void *data = shmc_reserve(handle_.get(), size, -1);
        if (data == nullptr)
            detail::fail("shmc_reserve");
        return {handle_.get(), data, size};
    }

    [[nodiscard]] std::optional<reservation> reserve(std::size_t size,
                                                     timeout limit)
    {
        void *data = shmc_reserve(handle_.get(), size, limit.milliseconds());
        if (data != nullptr)
            return reservation(handle_.get(), data, size);
        detail::nothing_yet("shmc_reserve");
        return std::nullopt;
    }

    shmc_channel_info stat() const
    {
        shmc_channel_info info;
        detail::check(shmc_channel_stat(handle_.get(), &info),
                      "shmc_channel_stat");
        return info;
    }

    /// A descriptor for poll(2) and event loops (shmc_channel_fd). It belongs
    /// to the channel.
    int fd()
    {
        const int fd = shmc_channel_fd(handle_.get());
        detail::check(fd, "shmc_channel_fd");
        return fd;
    }

    /// For functions of shmcomm.h; it stays open.
    shmc_channel *native() const noexcept
    {
        return handle_.get();
    }

private:
#ifdef __cpp_lib_span
    static std::string_view text(std::span<const std::byte> bytes) noexcept
    {
        return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
    }
#endif

    int send_for(std::string_view message, int milliseconds) noexcept
    {
        return shmc_send(handle_.get(), message.data(), message.size(),
                         milliseconds);
    }

    detail::handle<shmc_channel, shmc_channel_close> handle_;
};

/// What topic::read has copied.
struct reading {
    /// The length of the message.
    std::size_t size;
    /// Messages that were overwritten before this one could be read.
    std::uint64_t lost;
};

/// A message where it lies in a topic. It must not outlive its topic object,
/// and a topic has one at a time.
class topic_message {
public:
    topic_message(topic_message &&other) noexcept
        : topic_(std::exchange(other.topic_, nullptr)), view_(other.view_),
          lost_(other.lost_)
    {
    }

    topic_message &operator=(topic_message &&) = delete;

    ~topic_message()
    {
        if (topic_ != nullptr)
            shmc_topic_release(topic_);
    }

    /// The writer may overwrite it meanwhile: rely on it after release.
    std::string_view view() const noexcept
    {
        return view_;
    }

    /// Messages that were overwritten before this one could be read.
    std::uint64_t lost() const noexcept
    {
        return lost_;
    }

    /// Ends the reading. False: the writer overwrote the message, so discard
    /// all that was read from it; it counts as lost.
    [[nodiscard]] bool release()
    {
        if (shmc_topic_release(std::exchange(topic_, nullptr)) == 0)
            return true;
        if (errno != ESTALE)
            detail::fail("shmc_topic_release");
        return false;
    }

private:
    friend class topic;

    topic_message(shmc_topic *topic, const void *data, std::size_t size,
                  std::uint64_t lost) noexcept
        : topic_(topic), view_(static_cast<const char *>(data), size),
          lost_(lost)
    {
    }

    shmc_topic *topic_;
    std::string_view view_;
    std::uint64_t lost_;
};

/// One writer, any number of readers that cannot disturb it (shmc_topic_open).
class topic {
public:
    /// flags: SHMC_SEND or SHMC_RECV, with any of SHMC_CREATE, SHMC_EXCL,
    /// SHMC_HISTORY, SHMC_INTR.
    /// max_message, depth: of a new topic; 0: of the existing one.
    explicit topic(const std::string &name, int flags,
                   std::size_t max_message = 0, unsigned depth = 0,
                   mode_t mode = 0600)
        : handle_(
              shmc_topic_open(name.c_str(), max_message, depth, flags, mode))
    {
        if (!handle_)
            detail::fail("shmc_topic_open");
    }

    /// Writes a message: a string, or bytes_of an object. Never waits.
    void write(std::string_view message)
    {
        detail::check(
            shmc_topic_write(handle_.get(), message.data(), message.size()),
            "shmc_topic_write");
    }

    /// Room for the longest message, to write the next one in place.
    [[nodiscard]] void *begin()
    {
        void *data = shmc_topic_begin(handle_.get());
        if (data == nullptr)
            detail::fail("shmc_topic_begin");
        return data;
    }

    /// Publishes what was written at begin.
    void publish(std::size_t size)
    {
        detail::check(shmc_topic_publish(handle_.get(), size),
                      "shmc_topic_publish");
    }

    /// Copies the next message into a buffer.
    reading read(void *buffer, std::size_t size)
    {
        reading result = {0, 0};
        const ssize_t length =
            shmc_topic_read(handle_.get(), buffer, size, &result.lost, -1);
        if (length == -1)
            detail::fail("shmc_topic_read");
        result.size = static_cast<std::size_t>(length);
        return result;
    }

    [[nodiscard]] std::optional<reading> read(void *buffer, std::size_t size,
                                              timeout limit)
    {
        reading result = {0, 0};
        const ssize_t length = shmc_topic_read(
            handle_.get(), buffer, size, &result.lost, limit.milliseconds());
        if (length == -1) {
            detail::nothing_yet("shmc_topic_read");
            return std::nullopt;
        }
        result.size = static_cast<std::size_t>(length);
        return result;
    }

    /// Copies the newest message into a buffer, at once, and returns its
    /// length; std::nullopt if nothing has been written yet.
    [[nodiscard]] std::optional<std::size_t>
    latest(void *buffer, std::size_t size, std::uint64_t *number = nullptr)
    {
        const ssize_t length =
            shmc_topic_latest(handle_.get(), buffer, size, number);
        if (length >= 0)
            return static_cast<std::size_t>(length);
        detail::nothing_yet("shmc_topic_latest");
        return std::nullopt;
    }

    /// Waits for the next message, to read it in place.
    [[nodiscard]] topic_message peek()
    {
        std::size_t size = 0;
        std::uint64_t lost = 0;
        const void *data = shmc_topic_peek(handle_.get(), &size, &lost, -1);
        if (data == nullptr)
            detail::fail("shmc_topic_peek");
        return {handle_.get(), data, size, lost};
    }

    [[nodiscard]] std::optional<topic_message> peek(timeout limit)
    {
        std::size_t size = 0;
        std::uint64_t lost = 0;
        const void *data = shmc_topic_peek(handle_.get(), &size, &lost,
                                           limit.milliseconds());
        if (data != nullptr)
            return topic_message(handle_.get(), data, size, lost);
        detail::nothing_yet("shmc_topic_peek");
        return std::nullopt;
    }

    shmc_topic_info stat() const
    {
        shmc_topic_info info;
        detail::check(shmc_topic_stat(handle_.get(), &info),
                      "shmc_topic_stat");
        return info;
    }

    /// A descriptor for poll(2) and event loops (shmc_topic_fd). It belongs to
    /// the topic.
    int fd()
    {
        const int fd = shmc_topic_fd(handle_.get());
        detail::check(fd, "shmc_topic_fd");
        return fd;
    }

    /// For functions of shmcomm.h; it stays open.
    shmc_topic *native() const noexcept
    {
        return handle_.get();
    }

private:
    detail::handle<shmc_topic, shmc_topic_close> handle_;
};

} // namespace shmcomm

#endif /* SHMCOMM_SHMCOMM_HPP */
