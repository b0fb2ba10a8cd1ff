/* Boost's message queue, for the benchmark to load; an exception ends the process. */

#include <boost/interprocess/ipc/message_queue.hpp>

using namespace boost::interprocess;

extern "C" {

void *bench_open(const char *name, size_t count, size_t size) noexcept
{
    return new message_queue(open_or_create, name, count, size);
}

int bench_send(message_queue *queue, const void *message, size_t size) noexcept
{
    queue->send(message, size, 0);
    return 0;
}

int bench_receive(message_queue *queue, void *message, size_t size) noexcept
{
    message_queue::size_type received;
    unsigned priority;

    queue->receive(message, size, received, priority);
    return received == size ? 0 : -1;
}

}
