/* Boost's message queue, for the benchmark to load. */

#include <boost/interprocess/ipc/message_queue.hpp>

using namespace boost::interprocess;

extern "C" {

void *bench_open(const char *name, size_t count, size_t size)
{
    try {
        return new message_queue(open_or_create, name, count, size);
    } catch (...) {
        return nullptr;
    }
}

int bench_send(void *queue, const void *message, size_t size)
{
    try {
        static_cast<message_queue *>(queue)->send(message, size, 0);
        return 0;
    } catch (...) {
        return -1;
    }
}

int bench_receive(void *queue, void *message, size_t size)
{
    try {
        message_queue::size_type received;
        unsigned priority;
        static_cast<message_queue *>(queue)->receive(message, size, received, priority);
        return received == size ? 0 : -1;
    } catch (...) {
        return -1;
    }
}

}
