# Sidekiq, on Redis.
#
# Settings: 5 threads (10 and 25 ran fewer a second), batches by `push_bulk` of 1,000. Delayed tasks
# are looked for every 5 s on average, as it comes.
# Source: https://github.com/sidekiq/sidekiq/wiki/Bulk-Queueing and .../wiki/Advanced-Options

require 'json'
require 'sidekiq/cli'
require 'sidekiq/launcher'

THREADS = 5
TEXT = 'x' * 60
$stdout.sync = true
Redis.silence_deprecations = true if Redis.respond_to?(:silence_deprecations=)
Sidekiq.logger.level = Logger::FATAL

def now_us = Process.clock_gettime(Process::CLOCK_REALTIME, :microsecond)

def steady = Process.clock_gettime(Process::CLOCK_MONOTONIC)

def wait_for_go
  puts 'ready'
  exit!(1) unless $stdin.gets&.strip == 'go'
end

# Counts what runs.
class Course
  @lock = Mutex.new
  class << self
    attr_reader :counted

    def begin(tasks)
      @tasks = tasks
      @seen = Array.new(tasks, false)
      @counted = { executed: 0, distinct: 0, lags: [] }
    end

    def run(number, at)
      late = now_us - at
      @lock.synchronize do
        @counted[:executed] += 1
        @counted[:lags] << late if at.positive?
        next if @seen[number]

        @seen[number] = true
        @counted[:distinct] += 1
        puts 'done' if @counted[:distinct] == @tasks
      end
    end
  end
end

# The task.
class Noop
  include Sidekiq::Worker
  sidekiq_options retry: false

  def perform(number, at, _text)
    Course.run(number, at)
  end
end

def work(tasks)
  Course.begin(tasks)
  options = Sidekiq.options.merge(concurrency: THREADS, queues: ['default'])
  Sidekiq.redis(&:ping)
  launcher = Sidekiq::Launcher.new(options)
  wait_for_go
  launcher.run
  $stdin.gets
  puts "counted #{JSON.generate(Course.counted)}"
  exit!(0)
end

def add(tasks, batch)
  Sidekiq.redis(&:ping)
  wait_for_go
  if batch == 1
    tasks.times { |number| Noop.perform_async(number, 0, TEXT) }
  else
    (0...tasks).each_slice(batch) do |numbers|
      rows = numbers.map { |number| [number, 0, TEXT] }
      Sidekiq::Client.push_bulk('class' => Noop, 'args' => rows)
    end
  end
  puts 'done'
end

def pace(tasks, rate)
  Sidekiq.redis(&:ping)
  wait_for_go
  first = steady + 0.1
  together = (rate / 1000.0).ceil
  (0...tasks).each_slice(together) do |numbers|
    rest = first + numbers.first.to_f / rate - steady
    sleep(rest) if rest.positive?
    rows = numbers.map { |number| [number, now_us, TEXT] }
    if together == 1
      Noop.perform_async(*rows.first)
    else
      Sidekiq::Client.push_bulk('class' => Noop, 'args' => rows)
    end
  end
  puts 'done'
end

def pace_later(tasks, rate)
  Sidekiq.redis(&:ping)
  wait_for_go
  first_us = now_us + 3_000_000
  tasks.times do |number|
    due = first_us + number * 1_000_000 / rate
    Noop.perform_at(due / 1e6, number, due, TEXT)
  end
  puts 'done'
end

mode, url, tasks, other, time = ARGV
redis = { url: url, size: THREADS + 10 }
Sidekiq.configure_server { |config| config.redis = redis }
Sidekiq.configure_client { |config| config.redis = redis }
case mode
when 'work' then work(Integer(tasks))
when 'add' then add(Integer(tasks), Integer(other))
else time == 'later' ? pace_later(Integer(tasks), Integer(other)) : pace(Integer(tasks), Integer(other))
end
