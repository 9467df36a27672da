-- What wrk sends: one GET again and again, in keep-alive connections. Its answers are told as votes.lua tells them.

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init()
  counts = {}
end

function response(status)
  counts[status] = (counts[status] or 0) + 1
end

function done(summary, latency, requests)
  local statuses = {}
  for _, thread in ipairs(threads) do
    for status, count in pairs(thread:get("counts")) do
      statuses[status] = (statuses[status] or 0) + count
    end
  end
  local listed = {}
  for status, count in pairs(statuses) do
    table.insert(listed, string.format('"%d": %d', status, count))
  end
  local failed = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format(
    '\n{"statuses": {%s}, "failed": %d, "seconds": %.3f, "p50": %.3f, "p99": %.3f, "used_up": false}\n',
    table.concat(listed, ", "), failed, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3
  ))
end
